import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, hours, hidden, latent):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(hours, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU())
        self.mean, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)

    def forward(self, x):
        h = self.body(x)
        return self.mean(h), self.logvar(h).clamp(-8, 8)


class Decoder(nn.Module):
    def __init__(self, hours, hidden, latent):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(latent, hidden), nn.SiLU(), nn.Linear(hidden, hours))

    def forward(self, z):
        return self.body(z)


def sample(mean, logvar):
    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
