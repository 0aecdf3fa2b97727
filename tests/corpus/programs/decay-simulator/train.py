import random
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Cfg:
    seed: int = 1234
    epochs: int = 30
    steps: int = 12
    batch_size: int = 32
    width: int = 160
    lr: float = 1e-3


def set_seed(seed):
    random.seed(seed)
    torch.manual_seed(seed)


def simulate_batch(n):
    """damped oscillator: noisy recording -> (frequency, damping), fresh parameters every time"""
    freq = 1.0 + 3.0 * torch.rand(n, 1)
    damp = 0.2 + 1.3 * torch.rand(n, 1)
    t = torch.linspace(0, 3, 50)
    phase = 6.2832 * torch.rand(n, 1)
    rec = torch.exp(-damp * t) * torch.sin(6.2832 * freq * t / 2 + phase)
    rec = rec + 0.1 * torch.randn(n, 50)
    return rec, torch.cat([(freq - 2.5) / 0.87, (damp - 0.85) / 0.38], 1)


class Estimator(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(50, width), nn.ReLU(),
            nn.Linear(width, width), nn.ReLU(),
            nn.Linear(width, 2),
        )

    def forward(self, x):
        return self.net(x)


def main(cfg):
    set_seed(99)
    val_x, val_y = simulate_batch(1000)
    model = Estimator(cfg.width)
    opt = torch.optim.Adam(model.parameters(), lr=cfg.lr)
    set_seed(cfg.seed)
    for epoch in range(cfg.epochs):
        model.train()
        err = 0.0
        for _ in range(cfg.steps):
            x, y = simulate_batch(cfg.batch_size)
            loss = F.mse_loss(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            err += loss.item() / cfg.steps
        model.eval()
        with torch.no_grad():
            val = F.mse_loss(model(val_x), val_y).item()
        if (epoch + 1) % 3 == 0:
            print(f"[{epoch + 1}] train_err={err:.4f} val_err={val:.4f}")


if __name__ == "__main__":
    main(Cfg())
