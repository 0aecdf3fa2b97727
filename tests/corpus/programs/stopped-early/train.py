import copy

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class EarlyStopping:
    def __init__(self, patience=6):
        self.patience, self.bad = patience, 0
        self.best = float("inf")
        self.state = None

    def update(self, value, model):
        if value < self.best:
            self.best, self.bad = value, 0
            self.state = copy.deepcopy(model.state_dict())
        else:
            self.bad += 1
        return self.bad >= self.patience


def molecules(n, gen, bits=80):
    """sparse fingerprints, solubility depends on few fragments"""
    x = (torch.rand(n, bits, generator=gen) < 0.25).float()
    w = torch.randn(bits, generator=torch.Generator().manual_seed(8)) * (torch.arange(bits) < 12)
    y = x @ w + 0.8 * x[:, 0] * x[:, 5] - 0.9 * x[:, 2] * x[:, 7]
    y = y + 0.5 * torch.randn(n, generator=gen)
    return (x - 0.25) / 0.433, y.unsqueeze(1)


def mean_loss(model, loader, criterion):
    model.eval()
    s = n = 0
    with torch.no_grad():
        for x, y in loader:
            s += criterion(model(x), y).item() * len(x)
            n += len(x)
    return s / n


def main():
    torch.manual_seed(212)
    gen = torch.Generator().manual_seed(212)
    train = DataLoader(TensorDataset(*molecules(400, gen)), batch_size=20, shuffle=True)
    val = DataLoader(TensorDataset(*molecules(200, gen)), batch_size=200)
    test = DataLoader(TensorDataset(*molecules(600, gen)), batch_size=200)
    model = nn.Sequential(nn.Linear(80, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 1))
    criterion = nn.MSELoss()
    opt = torch.optim.Adam(model.parameters(), lr=4e-4)
    stopper = EarlyStopping()
    print(f"untrained: test loss {mean_loss(model, test, criterion):.4f}")
    for epoch in range(60):
        model.train()
        tl = 0.0
        for x, y in train:
            loss = criterion(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            tl += loss.item() * len(x) / 400
        vl = mean_loss(model, val, criterion)
        print(f"epoch {epoch:2d} train {tl:.4f} val {vl:.4f}")
        if stopper.update(vl, model):
            print(f"stopped, best val {stopper.best:.4f}")
            break
    model.load_state_dict(stopper.state)
    print(f"best model: test loss {mean_loss(model, test, criterion):.4f}")


if __name__ == "__main__":
    main()
