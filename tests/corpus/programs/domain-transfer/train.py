from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Config:
    n_features: int = 24
    hidden: int = 48
    old_sites: int = 10
    new_sites: int = 7
    lr: float = 5e-4
    batch: int = 40
    epochs: int = 12
    seed: int = 11


def mixture(n_classes, n, dim, seed):
    g = torch.Generator().manual_seed(seed)
    mix = torch.randn(dim, dim, generator=torch.Generator().manual_seed(5)) / dim ** 0.5
    centers = torch.randn(n_classes, dim, generator=g) * 1.6
    y = torch.randint(0, n_classes, (n,), generator=g)
    x = torch.tanh((centers[y] + torch.randn(n, dim, generator=g)) @ mix)
    return (x - x.mean(0)) / x.std(0), y


class SiteNet(nn.Module):
    def __init__(self, n_in, hidden, n_out):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.out = nn.Linear(hidden, n_out)

    def forward(self, x):
        return self.out(self.body(x))


class Runner:
    def __init__(self, cfg, net):
        self.cfg = cfg
        self.net = net
        self.optim = torch.optim.Adam(net.parameters(), lr=cfg.lr)

    def switch_site(self, n_classes):
        self.net.out = nn.Linear(self.cfg.hidden, n_classes)
        for p in self.net.body.parameters():
            p.requires_grad_(False)
        self.optim = torch.optim.Adam(self.net.out.parameters(), lr=self.cfg.lr)

    def fit(self, x, y, xv, yv, epochs, name):
        for ep in range(epochs):
            self.net.train()
            run = 0.0
            for idx in torch.randperm(len(x)).split(self.cfg.batch):
                loss = F.cross_entropy(self.net(x[idx]), y[idx])
                self.optim.zero_grad()
                loss.backward()
                self.optim.step()
                run += loss.item() * len(idx)
            self.net.eval()
            with torch.no_grad():
                acc = (self.net(xv).argmax(1) == yv).float().mean()
            print(f"{name} {ep}: loss {run / len(x):.3f} val_acc {acc:.3f}")


def main():
    cfg = Config()
    torch.manual_seed(cfg.seed)
    x, y = mixture(cfg.old_sites, 3000, cfg.n_features, seed=1)
    runner = Runner(cfg, SiteNet(cfg.n_features, cfg.hidden, cfg.old_sites))
    runner.fit(x[:2500], y[:2500], x[2500:], y[2500:], 6, "source")

    x, y = mixture(cfg.new_sites, 1500, cfg.n_features, seed=2)
    runner.switch_site(cfg.new_sites)
    runner.fit(x[:1200], y[:1200], x[1200:], y[1200:], cfg.epochs, "target")


if __name__ == "__main__":
    main()
