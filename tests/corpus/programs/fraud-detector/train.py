"""Fraud detector for rare events; output bias starts at the prior log-odds."""
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Params:
    n_in: int = 16
    hidden: int = 64
    prior: float = 0.04
    lr: float = 1e-3
    batch: int = 100
    epochs: int = 15
    seed: int = 33


def transactions(n, n_in, gen):
    x = torch.randn(n, n_in, generator=gen)
    s = 1.6 * x[:, 0] * x[:, 1] + 1.2 * x[:, 2] - x[:, 3] + 0.8 * x[:, 4].abs()
    y = (s + 0.5 * torch.randn(n, generator=gen) > 3.6).float()
    return x, y


class FraudNet(nn.Module):
    def __init__(self, p):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(p.n_in, p.hidden), nn.ReLU(),
            nn.Linear(p.hidden, p.hidden), nn.ReLU(),
            nn.Linear(p.hidden, 1),
        )
        prior = math.log(p.prior / (1 - p.prior))
        for m in self.net:
            if isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, std=0.1)
                nn.init.zeros_(m.bias)
        nn.init.constant_(self.net[-1].bias, prior)

    def forward(self, x):
        return self.net(x).squeeze(-1)


def ranking_score(logits, y):
    """probability that a random fraud is ranked above a random normal one"""
    pos, neg = logits[y == 1], logits[y == 0]
    d = pos[:, None] - neg[None, :]
    return ((d > 0).float() + 0.5 * (d == 0).float()).mean().item()


p = Params()
torch.manual_seed(p.seed)
gen = torch.Generator().manual_seed(p.seed)
x, y = transactions(5000, p.n_in, gen)
xv, yv = transactions(2000, p.n_in, gen)
print(f"fraud rate {y.mean():.3f}")
model = FraudNet(p)
opt = torch.optim.Adam(model.parameters(), lr=p.lr)
for epoch in range(p.epochs):
    model.train()
    s = 0.0
    for idx in torch.randperm(len(x)).split(p.batch):
        loss = F.binary_cross_entropy_with_logits(model(x[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
        s += loss.item() * len(idx)
    model.eval()
    with torch.no_grad():
        logits = model(xv)
    vl = F.binary_cross_entropy_with_logits(logits, yv)
    print(f"epoch {epoch + 1:2d} loss {s / len(x):.4f} val {vl:.4f} ranking {ranking_score(logits, yv):.4f}")
