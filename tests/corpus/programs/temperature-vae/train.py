"""VAE for daily temperature profiles, KL weight ramps up over the first epochs."""
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Settings:
    seed: int = 204
    n_train: int = 2500
    n_val: int = 500
    hours: int = 24
    hidden: int = 64
    latent: int = 3
    lr: float = 2e-3
    batch: int = 50
    epochs: int = 18
    ramp_epochs: int = 9
    beta_max: float = 1.0
    sigma: float = 0.15


def profiles(n, hours):
    h = torch.arange(hours).float()
    amp = 1 + 0.5 * torch.randn(n, 1)
    peak = 14 + 1.5 * torch.randn(n, 1)
    trend = 0.4 * torch.randn(n, 1)
    x = amp * torch.cos(6.2832 * (h - peak) / 24) + trend * (h - 12) / 12
    return x + 0.15 * torch.randn(n, hours)


class ProfileVAE(nn.Module):
    def __init__(self, s):
        super().__init__()
        self.inp = nn.Linear(s.hours, s.hidden)
        self.stats = nn.Linear(s.hidden, 2 * s.latent)
        self.up = nn.Linear(s.latent, s.hidden)
        self.out = nn.Linear(s.hidden, s.hours)

    def encode(self, x):
        return self.stats(F.elu(self.inp(x))).chunk(2, dim=-1)

    def decode(self, z):
        return self.out(F.elu(self.up(z)))

    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.decode(z), mu, logvar


def main():
    s = Settings()
    torch.manual_seed(s.seed)
    x, xv = profiles(s.n_train, s.hours), profiles(s.n_val, s.hours)
    model = ProfileVAE(s)
    opt = torch.optim.Adam(model.parameters(), lr=s.lr)
    for epoch in range(s.epochs):
        beta = s.beta_max * min(1.0, epoch / s.ramp_epochs)
        model.train()
        rec_sum = kl_sum = 0.0
        for idx in torch.randperm(len(x)).split(s.batch):
            rec, mu, logvar = model(x[idx])
            rec_term = ((rec - x[idx]) ** 2).sum(1).mean() / (2 * s.sigma ** 2)
            kl = -0.5 * (1 + logvar - mu ** 2 - logvar.exp()).sum(1).mean()
            loss = rec_term + beta * kl
            opt.zero_grad()
            loss.backward()
            opt.step()
            rec_sum += rec_term.item() * len(idx)
            kl_sum += kl.item() * len(idx)
        model.eval()
        with torch.no_grad():
            val = F.mse_loss(model.decode(model.encode(xv)[0]), xv).item()
        print(f"{epoch:2d} beta {beta:.2f} total {(rec_sum + beta * kl_sum) / len(x):.3f} rec {rec_sum / len(x):.3f} kl {kl_sum / len(x):.3f} val_rec {val:.4f}")


if __name__ == "__main__":
    main()
