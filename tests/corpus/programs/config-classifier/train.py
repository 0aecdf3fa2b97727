import dataclasses

import torch
import torch.nn.functional as F
from torch import nn


@dataclasses.dataclass
class TrainConfig:
    in_dim: int = 32
    width: int = 128
    depth: int = 3
    classes: int = 10
    batch_size: int = 64
    lr: float = 0.002
    weight_decay: float = 1e-4
    epochs: int = 15
    seed: int = 13


def make_data(cfg, n, seed):
    proto = torch.randn(cfg.classes * 2, cfg.in_dim, generator=torch.Generator().manual_seed(0))
    g = torch.Generator().manual_seed(seed)
    which = torch.randint(0, cfg.classes * 2, (n,), generator=g)
    return proto[which] + 0.8 * torch.randn(n, cfg.in_dim, generator=g), which % cfg.classes


def build(cfg):
    layers, d = [], cfg.in_dim
    for _ in range(cfg.depth):
        layers += [nn.Linear(d, cfg.width), nn.ReLU()]
        d = cfg.width
    return nn.Sequential(*layers, nn.Linear(d, cfg.classes))


@torch.no_grad()
def evaluate(model, x, y):
    model.eval()
    out = model(x)
    return F.cross_entropy(out, y).item(), (out.argmax(1) == y).float().mean().item()


def train(cfg):
    torch.manual_seed(cfg.seed)
    x, y = make_data(cfg, 3000, 1)
    xv, yv = make_data(cfg, 600, 2)
    model = build(cfg)
    opt = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)
    for epoch in range(cfg.epochs):
        model.train()
        total = 0.0
        for idx in torch.randperm(len(x)).split(cfg.batch_size):
            loss = F.cross_entropy(model(x[idx]), y[idx])
            opt.zero_grad(set_to_none=True)
            loss.backward()
            opt.step()
            total += loss.item() * len(idx)
        vl, va = evaluate(model, xv, yv)
        print(f"epoch {epoch:02d} | loss {total / len(x):.4f} | val {vl:.4f} | acc {va:.3f}")


if __name__ == "__main__":
    train(TrainConfig())
