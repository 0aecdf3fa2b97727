"""Noisy-label text classifier with model selection on a dev set."""
import torch
from torch import nn
import torch.nn.functional as F


class BagClassifier(nn.Module):
    def __init__(self, vocab, dim, classes):
        super().__init__()
        self.bag = nn.EmbeddingBag(vocab, dim, mode="mean")
        self.l1 = nn.Linear(dim, 128)
        self.l2 = nn.Linear(128, classes)

    def forward(self, tokens):
        return self.l2(F.relu(self.l1(self.bag(tokens))))


def documents(n, g, flip=0.0):
    y = torch.randint(0, 4, (n,), generator=g)
    topic = (torch.rand(n, 30, generator=g) < 0.22)
    words = torch.randint(0, 600, (n, 30), generator=g)
    themed = y[:, None] * 50 + torch.randint(0, 50, (n, 30), generator=g)
    doc = torch.where(topic, themed, words)
    noisy = torch.rand(n, generator=g) < flip
    return doc, torch.where(noisy, torch.randint(0, 4, (n,), generator=g), y)


class Selector:
    """Remembers the weights with the lowest dev loss."""

    def __init__(self, model):
        self.model, self.best, self.weights, self.epoch = model, float("inf"), None, -1

    def offer(self, dev_loss, epoch):
        if dev_loss < self.best:
            self.best, self.epoch = dev_loss, epoch
            self.weights = {k: v.clone() for k, v in self.model.state_dict().items()}

    def restore(self):
        self.model.load_state_dict(self.weights)


def score(model, x, y):
    model.eval()
    with torch.no_grad():
        z = model(x)
        return F.cross_entropy(z, y).item(), (z.argmax(1) == y).float().mean().item()


torch.manual_seed(40)
g = torch.Generator().manual_seed(40)
train_x, train_y = documents(700, g, flip=0.3)
dev_x, dev_y = documents(400, g)
test_x, test_y = documents(800, g)
net = BagClassifier(600, 64, 4)
opt = torch.optim.Adam(net.parameters(), lr=4e-3)
keep = Selector(net)
for epoch in range(30):
    net.train()
    run = 0.0
    for idx in torch.randperm(700).split(35):
        opt.zero_grad()
        loss = F.cross_entropy(net(train_x[idx]), train_y[idx])
        loss.backward()
        opt.step()
        run += loss.item() * len(idx) / 700
    dl, da = score(net, dev_x, dev_y)
    keep.offer(dl, epoch)
    print(f"epoch {epoch:2d} train {run:.3f} dev {dl:.3f} dev acc {da:.3f}")
keep.restore()
print("best epoch %d (dev %.3f) -> test loss %.3f acc %.3f" % (keep.epoch, keep.best, *score(net, test_x, test_y)))
