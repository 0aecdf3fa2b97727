# Self-supervised embedding of noisy signals, two views per item
import math

import torch
from torch import nn

torch.manual_seed(17)
BASE = torch.randn(400, 24)


def view(idx):
    x = BASE[idx]
    drop = (torch.rand_like(x) > 0.15).float()
    return x * drop + 0.3 * torch.randn_like(x)


class Projector(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(24, 96), nn.ReLU(), nn.Linear(96, 96), nn.ReLU())
        self.proj = nn.Linear(96, 32)

    def forward(self, x):
        z = self.proj(self.enc(x))
        return z / z.norm(dim=1, keepdim=True).clamp_min(1e-6)


def contrast(za, zb, tau=0.2):
    sim = za @ zb.T / tau
    pos = sim[torch.arange(len(za)), torch.arange(len(zb))]
    rows = pos - torch.logsumexp(sim, dim=1)
    cols = pos - torch.logsumexp(sim, dim=0)
    return -0.5 * (rows.mean() + cols.mean())


@torch.no_grad()
def retrieval(net, idx):
    net.eval()
    sim = net(view(idx)) @ net(view(idx)).T
    net.train()
    return (sim.argmax(1) == torch.arange(len(idx))).float().mean().item()


net = Projector()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
train_idx, test_idx = torch.arange(320), torch.arange(320, 400)
print("chance loss magnitude", round(math.log(64), 3))
for epoch in range(40):
    vals = []
    for b in train_idx[torch.randperm(320)].split(64):
        loss = contrast(net(view(b)), net(view(b)))
        opt.zero_grad()
        loss.backward()
        opt.step()
        vals.append(loss.item())
    if epoch % 4 == 3:
        print(f"epoch {epoch + 1}: objective {sum(vals) / len(vals):.4f} top-1 retrieval {retrieval(net, test_idx):.3f}")
