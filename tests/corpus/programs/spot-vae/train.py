import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader

torch.manual_seed(4)


def images(n):
    yy, xx = torch.meshgrid(torch.arange(14.0), torch.arange(14.0), indexing="ij")
    c = torch.rand(n, 2) * 8 + 3
    s = torch.rand(n) * 2 + 1
    d = (yy[None] - c[:, 0, None, None]) ** 2 + (xx[None] - c[:, 1, None, None]) ** 2
    return torch.exp(-d / (2 * s[:, None, None] ** 2)).flatten(1)


class VAE(nn.Module):
    def __init__(self, d=196, h=128, z=8):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d, h), nn.ReLU())
        self.mu, self.logvar = nn.Linear(h, z), nn.Linear(h, z)
        self.dec = nn.Sequential(nn.Linear(z, h), nn.ReLU(), nn.Linear(h, d))

    def forward(self, x):
        h = self.enc(x)
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * (0.5 * logvar).exp()
        return self.dec(z), mu, logvar


def elbo(logits, x, mu, logvar):
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * (1 + logvar - mu.pow(2) - logvar.exp()).sum()
    return (rec + kl) / len(x), kl / len(x)


train = DataLoader(images(5000), batch_size=100, shuffle=True)
test = DataLoader(images(1000), batch_size=200)
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

for epoch in range(1, 13):
    model.train()
    running = 0.0
    for x in train:
        logits, mu, logvar = model(x)
        loss, kl = elbo(logits, x, mu, logvar)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
    model.eval()
    with torch.no_grad():
        val = 0.0
        for x in test:
            logits, mu, logvar = model(x)
            val += elbo(logits, x, mu, logvar)[0].item()
    print(f"epoch {epoch} train {running / len(train):.3f} test {val / len(test):.3f} kl {kl.item():.3f}")
