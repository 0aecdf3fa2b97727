import argparse

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, TensorDataset


class Surrogate(nn.Module):
    """Cheap replacement of an expensive flow simulation."""

    def __init__(self, n_in, n_hidden, n_out):
        super().__init__()
        self.inp = nn.Linear(n_in, n_hidden)
        self.mid = nn.Linear(n_hidden, n_hidden)
        self.out = nn.Linear(n_hidden, n_out)

    def forward(self, x):
        x = torch.tanh(self.inp(x))
        x = torch.tanh(self.mid(x))
        return self.out(x)


def simulate(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(n, 5, generator=g) * 2 - 1
    a = torch.sin(2 * x[:, 0] + x[:, 1]) * x[:, 2]
    b = torch.exp(-x[:, 3] ** 2) - 0.5 * x[:, 4]
    return x, torch.stack([a + b, a - b, a * b], 1) * 2


class Fitter:
    def __init__(self, args):
        torch.manual_seed(args.seed)
        self.args = args
        self.loader = DataLoader(TensorDataset(*simulate(2000, 1)), args.batch, shuffle=True)
        self.xt, self.yt = simulate(500, 2)
        self.model = Surrogate(5, 64, 3)
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=args.lr, momentum=0.9)
        self.scheduler = torch.optim.lr_scheduler.ExponentialLR(self.optimizer, gamma=args.gamma)

    def one_epoch(self):
        self.model.train()
        acc = 0.0
        for x, y in self.loader:
            loss = self.criterion(self.model(x), y)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            acc += loss.item()
        return acc / len(self.loader)

    def holdout(self):
        self.model.eval()
        with torch.no_grad():
            return self.criterion(self.model(self.xt), self.yt).item()

    def run(self):
        for epoch in range(self.args.epochs):
            train = self.one_epoch()
            test = self.holdout()
            self.scheduler.step()
            if epoch % 3 == 2:
                print(f"{epoch + 1:3d}  train {train:.5f}  holdout {test:.5f}")


if __name__ == "__main__":
    ap = argparse.ArgumentParser()
    ap.add_argument("--lr", type=float, default=0.1)
    ap.add_argument("--gamma", type=float, default=0.85)
    ap.add_argument("--batch", type=int, default=10)
    ap.add_argument("--epochs", type=int, default=24)
    ap.add_argument("--seed", type=int, default=19)
    Fitter(ap.parse_args()).run()
