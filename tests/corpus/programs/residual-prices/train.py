"""House-price style regression with a small ensemble of residual blocks."""
import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.up = nn.Linear(d, 2 * d)
        self.down = nn.Linear(2 * d, d)

    def forward(self, h):
        return h + self.down(torch.relu(self.up(self.norm(h))))


class PriceModel(nn.Module):
    def __init__(self, n_feat, d=40, depth=2):
        super().__init__()
        self.stem = nn.Linear(n_feat, d)
        self.blocks = nn.ModuleList(Block(d) for _ in range(depth))
        self.head = nn.Linear(d, 1)

    def forward(self, x):
        h = self.stem(x)
        for b in self.blocks:
            h = b(h)
        return self.head(h).squeeze(-1)


class HalfSquaredError:
    def __call__(self, estimate, truth):
        residual = estimate - truth
        return 0.5 * torch.mean(residual * residual)


class Experiment:
    def __init__(self, seed):
        torch.manual_seed(seed)
        feats = torch.randn(2000, 10)
        price = 1.5 * feats[:, 0] - feats[:, 1] * feats[:, 2] + feats[:, 3].abs() + 0.1 * torch.randn(2000)
        price = (price - price.mean()) / price.std()
        self.train = feats[:1600], price[:1600]
        self.hold = feats[1600:], price[1600:]
        self.model = PriceModel(10)
        self.loss = HalfSquaredError()
        self.opt = torch.optim.AdamW(self.model.parameters(), lr=1e-3)

    def epoch(self):
        x, y = self.train
        total = 0.
        for rows in torch.randperm(len(x)).split(50):
            self.opt.zero_grad()
            value = self.loss(self.model(x[rows]), y[rows])
            value.backward()
            self.opt.step()
            total += value.item() * len(rows)
        return total / len(x)

    @torch.no_grad()
    def report(self):
        x, y = self.hold
        p = self.model(x).flatten()
        return 1 - ((p - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()


exp = Experiment(21)
for e in range(15):
    tr = exp.epoch()
    print(f"epoch {e:02d} train {tr:.4f} holdout R2 {exp.report():.3f}")
