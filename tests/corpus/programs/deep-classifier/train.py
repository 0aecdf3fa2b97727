from torch import nn
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset


def make_mlp(sizes):
    mods = []
    for i in range(len(sizes) - 2):
        mods.append(nn.Linear(sizes[i], sizes[i + 1]))
        mods.append(nn.ReLU())
    mods.append(nn.Linear(sizes[-2], sizes[-1]))
    return nn.Sequential(*mods)


def moons(n, gen):
    """three interleaved arcs in the plane"""
    y = torch.randint(0, 3, (n,), generator=gen)
    a = torch.rand(n, generator=gen) * torch.pi
    cx = torch.tensor([0.0, 1.0, 2.0])[y]
    flip = torch.where(y == 1, -1.0, 1.0)
    pts = torch.stack([cx + a.cos(), flip * a.sin() + 0.5 * (y == 1).float()], 1)
    pts = pts + 0.08 * torch.randn(n, 2, generator=gen)
    return (pts - torch.tensor([1.0, 0.3])) / torch.tensor([1.1, 0.6]), y


def train_epoch(model, loader, optimizer):
    model.train()
    total = 0.0
    for x, y in loader:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        total += loss.item() * len(y)
    return total / len(loader.dataset)


@torch.no_grad()
def evaluate(model, x, y):
    model.eval()
    logits = model(x)
    return F.cross_entropy(logits, y).item(), (logits.argmax(1) == y).float().mean().item()


def main():
    torch.manual_seed(90)
    gen = torch.Generator().manual_seed(90)
    loader = DataLoader(TensorDataset(*moons(2000, gen)), batch_size=50, shuffle=True)
    xv, yv = moons(500, gen)
    model = make_mlp([2] + [40] * 11 + [3])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(1, 13):
        tr = train_epoch(model, loader, optimizer)
        vl, va = evaluate(model, xv, yv)
        print(f"epoch {epoch:>2}: train loss {tr:.4f} | val loss {vl:.4f} | val acc {va:.3f}")


if __name__ == "__main__":
    main()
