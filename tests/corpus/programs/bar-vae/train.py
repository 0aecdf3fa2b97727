"""Small VAE on 8x8 bar images."""
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Options:
    latent: int = 6
    hidden: int = 96
    lr: float = 2e-3
    epochs: int = 20
    batch: int = 64
    recon_weight: float = 1.0
    prior_weight: float = 1.0


def bars(n):
    img = torch.zeros(n, 8, 8)
    on = torch.rand(n, 16) < 0.2
    for j in range(8):
        img[:, j, :] = torch.maximum(img[:, j, :], on[:, j:j + 1].float())
        img[:, :, j] = torch.maximum(img[:, :, j], on[:, 8 + j:9 + j].float())
    return img.flatten(1)


class VAE(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(64, o.hidden), nn.ReLU(), nn.Linear(o.hidden, 2 * o.latent))
        self.dec = nn.Sequential(nn.Linear(o.latent, o.hidden), nn.ReLU(), nn.Linear(o.hidden, 64))

    def forward(self, x):
        mu, logvar = self.enc(x).chunk(2, dim=1)
        z = mu + torch.exp(0.5 * logvar) * torch.randn_like(mu) if self.training else mu
        return self.dec(z), mu, logvar


class ELBO(nn.Module):
    def __init__(self, o):
        super().__init__()
        self.o = o

    def forward(self, logits, x, mu, logvar):
        rec = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
        kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum(1).mean()
        return self.o.recon_weight * rec + self.o.prior_weight * kl, rec, kl


def main(o=Options()):
    torch.manual_seed(50)
    train, test = bars(2000), bars(400)
    vae, elbo = VAE(o), ELBO(o)
    opt = torch.optim.Adam(vae.parameters(), lr=o.lr)
    for ep in range(o.epochs):
        vae.train()
        sums = torch.zeros(3)
        for idx in torch.randperm(2000).split(o.batch):
            x = train[idx]
            out, mu, lv = vae(x)
            loss, rec, kl = elbo(out, x, mu, lv)
            opt.zero_grad()
            loss.backward()
            opt.step()
            sums += torch.tensor([loss.item(), rec.item(), kl.item()]) * len(idx) / 2000
        vae.eval()
        with torch.no_grad():
            out, mu, lv = vae(test)
            _, trec, _ = elbo(out, test, mu, lv)
        print(f"epoch {ep:2d} total {sums[0]:.3f} recon {sums[1]:.3f} kl {sums[2]:.4f} | test recon {trec:.3f}")


main()
