"""VAE on 10x10 blob images."""
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader

torch.manual_seed(18)


def blobs(n, size=10):
    c = torch.rand(n, 2) * (size - 4) + 1.5
    s = 0.8 + 1.2 * torch.rand(n, 1, 1)
    r = torch.arange(size).float()
    d = (r[None, :, None] - c[:, 0, None, None]) ** 2 + (r[None, None, :] - c[:, 1, None, None]) ** 2
    return torch.exp(-d / (2 * s ** 2)).flatten(1)


class VAE(nn.Module):
    def __init__(self, d_in=100, hidden=96, latent=4):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(d_in, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.mu = nn.Linear(hidden, latent)
        self.logvar = nn.Linear(hidden, latent)
        self.dec = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, d_in))

    def forward(self, x):
        h = self.enc(x)
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return self.dec(z), mu, logvar


def vae_loss(out, x, mu, logvar):
    recon = F.mse_loss(out, x, reduction="sum") / len(x) / (2 * 0.05 ** 2)
    kld = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp()) / len(x)
    return recon + kld, recon, kld


train_loader = DataLoader(blobs(3000), batch_size=60, shuffle=True)
x_val = blobs(500)
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)

for epoch in range(15):
    model.train()
    logs = torch.zeros(3)
    for x in train_loader:
        out, mu, logvar = model(x)
        loss, recon, kld = vae_loss(out, x, mu, logvar)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        logs += torch.stack([loss, recon, kld]).detach()
    logs /= len(train_loader)
    model.eval()
    with torch.no_grad():
        _, mu, _ = model(x_val)
        err = F.mse_loss(model.dec(mu), x_val).item()
    print(f"====> epoch {epoch + 1} loss {logs[0]:.3f} (recon {logs[1]:.3f}, kl {logs[2]:.3f}) val recon {err:.5f}")
