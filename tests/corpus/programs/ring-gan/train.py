import math

import torch
import torch.nn as nn

torch.manual_seed(203)

LATENT, BATCH, ITERS = 8, 128, 1200
centers = torch.tensor([[math.cos(2 * math.pi * k / 6), math.sin(2 * math.pi * k / 6)] for k in range(6)])


def real_batch(n):
    k = torch.randint(0, 6, (n,))
    return centers[k] + 0.08 * torch.randn(n, 2)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(LATENT, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, z):
        return self.net(z)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))

    def forward(self, x):
        return self.net(x)


G, D = Generator(), Discriminator()
bce = nn.BCEWithLogitsLoss()
opt_g = torch.optim.Adam(G.parameters(), lr=1e-3, betas=(0.5, 0.99))
opt_d = torch.optim.Adam(D.parameters(), lr=1e-3, betas=(0.5, 0.99))
ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)


def score():
    """share of samples close to a mode and number of modes that are reached"""
    G.eval()
    with torch.no_grad():
        s = G(torch.randn(1000, LATENT))
    dist, which = torch.cdist(s, centers).min(1)
    near = dist < 0.3
    G.train()
    return near.float().mean().item(), len(which[near].unique()) / 6


for it in range(1, ITERS + 1):
    # discriminator
    fake = G(torch.randn(BATCH, LATENT)).detach()
    d_loss = 0.5 * (bce(D(real_batch(BATCH)), 0.9 * ones) + bce(D(fake), zeros))
    opt_d.zero_grad()
    d_loss.backward()
    opt_d.step()

    # generator
    g_loss = bce(D(G(torch.randn(BATCH, LATENT))), ones)
    opt_g.zero_grad()
    g_loss.backward()
    opt_g.step()

    if it % 120 == 0:
        near, cover = score()
        print(f"iter {it:5d}  D {d_loss.item():.3f}  G {g_loss.item():.3f}  near {near:.3f}  coverage {cover:.2f}")
