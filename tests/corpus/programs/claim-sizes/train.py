"""Heavy-tailed claim sizes: linear-in-features model plus a small MLP, clipped SGD."""
import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class ClaimNet(nn.Module):
    def __init__(self, n_in, width):
        super().__init__()
        self.l1 = nn.Linear(n_in, width)
        self.l2 = nn.Linear(width, width)
        self.l3 = nn.Linear(width, 1)

    def forward(self, x):
        h = torch.relu(self.l1(x))
        h = torch.relu(self.l2(h))
        return self.l3(h).squeeze(-1)


def claims(n, gen):
    x = torch.randn(n, 8, generator=gen)
    size = x[:, 0] + torch.sin(2 * x[:, 1]) + 0.5 * x[:, 2] * x[:, 3]
    catastrophe = torch.rand(n, generator=gen) < 0.004
    size = size + catastrophe.float() * 400
    return x, size, catastrophe


class Trainer:
    def __init__(self, args):
        torch.manual_seed(args.seed)
        gen = torch.Generator().manual_seed(args.seed)
        x, y, _ = claims(3000, gen)
        self.train_dl = DataLoader(TensorDataset(x, y), args.batch_size, shuffle=True)
        x, y, cat = claims(800, gen)
        self.val = x[~cat], y[~cat]          # judged on ordinary claims
        self.args = args
        self.model = ClaimNet(8, 64)
        self.criterion = nn.MSELoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=args.lr, momentum=0.9)

    def epoch(self):
        self.model.train()
        losses = []
        for x, y in self.train_dl:
            self.optimizer.zero_grad()
            loss = self.criterion(self.model(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.args.max_norm)
            self.optimizer.step()
            losses.append(loss.item())
        losses.sort()
        return losses[len(losses) // 2]

    def validate(self):
        self.model.eval()
        with torch.no_grad():
            return self.criterion(self.model(self.val[0]), self.val[1]).item()

    def fit(self):
        for e in range(self.args.epochs):
            print(f"epoch {e}: median batch loss {self.epoch():.4f}, val loss {self.validate():.4f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--max-norm", type=float, default=1.0)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    Trainer(parser.parse_args()).fit()
