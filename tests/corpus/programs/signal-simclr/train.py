"""SimCLR-style pretraining on noisy signals, then a linear probe on the frozen encoder."""
import torch
import torch.nn as nn
import torch.nn.functional as F


def signals(n, gen):
    y = torch.randint(0, 5, (n,), generator=gen)
    t = torch.linspace(0, 1, 48)
    phase = torch.rand(n, 1, generator=gen) * 6.283
    amp = 0.7 + 0.6 * torch.rand(n, 1, generator=gen)
    x = amp * torch.sin(2 * torch.pi * (y[:, None] + 1) * 1.5 * t + phase)
    return x + 0.1 * torch.randn(n, 48, generator=gen), y


def augment(x):
    shift = int(torch.randint(0, 48, (1,)))
    x = torch.roll(x, shift, dims=1) * (0.7 + 0.6 * torch.rand(len(x), 1))
    return x + 0.2 * torch.randn_like(x)


def info_nce(z1, z2, tau=0.2):
    z = F.normalize(torch.cat([z1, z2]), dim=1)
    n = len(z1)
    sim = z @ z.t() / tau
    sim.fill_diagonal_(float("-inf"))
    target = torch.arange(2 * n).roll(n)
    return F.cross_entropy(sim, target)


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(1, 16, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2),
                                  nn.Conv1d(16, 32, 7, padding=3), nn.ReLU(), nn.AdaptiveAvgPool1d(4))
        self.out = nn.Linear(128, 64)

    def forward(self, x):
        return self.out(self.conv(x[:, None]).flatten(1))


def main():
    torch.manual_seed(8)
    gen = torch.Generator().manual_seed(8)
    xtr, ytr = signals(2048, gen)
    xte, yte = signals(512, gen)
    enc = Encoder()
    proj = nn.Sequential(nn.ReLU(), nn.Linear(64, 32))
    opt = torch.optim.Adam(list(enc.parameters()) + list(proj.parameters()), lr=2e-3)
    for epoch in range(12):
        perm = torch.randperm(len(xtr))
        tot = 0.0
        for i in range(0, len(xtr), 128):
            xb = xtr[perm[i:i + 128]]
            loss = info_nce(proj(enc(augment(xb))), proj(enc(augment(xb))))
            opt.zero_grad()
            loss.backward()
            opt.step()
            tot += loss.item()
        print(f"[pretrain] epoch {epoch} nce {tot / 16:.4f}")

    enc.requires_grad_(False)
    enc.eval()
    probe = nn.Linear(64, 5)
    popt = torch.optim.Adam(probe.parameters(), lr=1e-2)
    with torch.no_grad():
        htr, hte = enc(xtr), enc(xte)
    for step in range(200):
        loss = F.cross_entropy(probe(htr), ytr)
        popt.zero_grad()
        loss.backward()
        popt.step()
        if step % 40 == 0 or step == 199:
            with torch.no_grad():
                acc = (probe(hte).argmax(1) == yte).float().mean().item()
            print(f"[probe] step {step} loss {loss.item():.4f} test acc {acc:.3f}")


if __name__ == "__main__":
    main()
