"""Transformer classifier on a small data set, keeping the best epoch."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(8)
V, T, C = 30, 10, 3


def toy(n, seed, noise):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(V, (n, T), generator=g)
    y = ((x < 10).sum(1) > (x >= 20).sum(1)).long() + (x[:, 0] % 2 == 0).long()
    flip = torch.rand(n, generator=g) < noise
    return x, torch.where(flip, torch.randint(C, (n,), generator=g), y)


class Model(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.emb = nn.Embedding(V, d)
        self.pos = nn.Parameter(torch.randn(T, d) * 0.1)
        enc = nn.TransformerEncoderLayer(d, 4, 2 * d, dropout=0.1, batch_first=True, norm_first=True)
        self.enc = nn.TransformerEncoder(enc, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(d, C)

    def forward(self, x):
        return self.fc(self.enc(self.emb(x) + self.pos).mean(1))


class BestKeeper:
    def __init__(self):
        self.loss, self.epoch, self.weights = float("inf"), None, None

    def update(self, model, loss, epoch):
        if loss < self.loss:
            self.loss, self.epoch = loss, epoch
            self.weights = {k: v.clone() for k, v in model.state_dict().items()}

    def restore(self, model):
        model.load_state_dict(self.weights)


@torch.no_grad()
def score(model, data):
    model.eval()
    logits = model(data[0])
    return F.cross_entropy(logits, data[1]).item(), (logits.argmax(1) == data[1]).float().mean().item()


def main(epochs=16, bs=32):
    train, val, test = toy(700, 0, 0.15), toy(400, 1, 0.15), toy(1000, 2, 0.15)
    model, keeper = Model(), BestKeeper()
    opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for epoch in range(1, epochs + 1):
        model.train()
        for idx in torch.randperm(len(train[0])).split(bs):
            loss = F.cross_entropy(model(train[0][idx]), train[1][idx])
            opt.zero_grad()
            loss.backward()
            opt.step()
        val_loss, val_acc = score(model, val)
        keeper.update(model, val_loss, epoch)
        if epoch % 2 == 0:
            print(f"epoch {epoch:02d} train {loss.item():.3f} val {val_loss:.3f} acc {val_acc:.3f} (best {keeper.loss:.3f} @ {keeper.epoch})")
    keeper.restore(model)
    loss, acc = score(model, val)
    print(f"restored epoch {keeper.epoch}: val loss {loss:.3f} acc {acc:.3f}")
    loss, acc = score(model, test)
    print(f"test loss {loss:.3f} acc {acc:.3f}")


if __name__ == "__main__":
    main()
