import copy
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(6)
EPOCHS = 6
proto = torch.randn(6, 1, 12, 12) * 0.6


def make(n):
    y = torch.randint(0, 6, (n,))
    return TensorDataset(proto[y] + torch.randn(n, 1, 12, 12), y)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2))
        self.fc = nn.Linear(32 * 9, 6)

    def forward(self, x):
        return self.fc(self.features(x).flatten(1))


class EMA:
    def __init__(self, model, decay=0.98):
        self.decay = decay
        self.module = copy.deepcopy(model).eval()
        for p in self.module.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model):
        for e, p in zip(self.module.parameters(), model.parameters()):
            e.lerp_(p, 1 - self.decay)
        for e, b in zip(self.module.buffers(), model.buffers()):
            e.copy_(b)


train_dl = DataLoader(make(3000), batch_size=64, shuffle=True, drop_last=True)
val_dl = DataLoader(make(600), batch_size=200)
model = Net()
ema = EMA(model)
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=EPOCHS * len(train_dl))


@torch.no_grad()
def accuracy(net):
    was = net.training
    net.eval()
    hits = sum((net(x).argmax(1) == y).sum().item() for x, y in val_dl)
    net.train(was)
    return hits / 600


for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    for x, y in train_dl:
        loss = F.cross_entropy(model(x), y, label_smoothing=0.1)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        ema.update(model)
        total += loss.item()
    print(f"epoch {epoch} loss {total / len(train_dl):.4f} raw {accuracy(model):.3f} ema {accuracy(ema.module):.3f}")
