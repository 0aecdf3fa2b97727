"""Adaptive computation on trees of messages: how many rounds does a node need? (ACT with remainder)"""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

MAXR, N, K, DIM = 8, 10, 3, 32


def rings(n, gen):
    """a ring of N cells; one cell holds a signal that travels clockwise until it meets the listener at cell 0"""
    gap = torch.randint(1, MAXR, (n,), generator=gen)
    sig = torch.randint(K, (n,), generator=gen)
    x = torch.randint(K, K + 6, (n, N), generator=gen)
    x[torch.arange(n), (N - gap) % N] = sig
    return x, sig, gap


class ACT(nn.Module):
    def __init__(self, eps=0.01):
        super().__init__()
        self.emb = nn.Embedding(K + 6, DIM)
        self.cell = nn.GRUCell(DIM, DIM)
        self.halt = nn.Linear(DIM, 1)
        self.out = nn.Linear(DIM, K)
        self.eps = eps
        nn.init.constant_(self.halt.bias, -2.0)

    def forward(self, x):
        b = x.size(0)
        h = self.emb(x)
        acc = torch.zeros(b)
        remainder = torch.zeros(b)
        n_updates = torch.zeros(b)
        y = torch.zeros(b, DIM)
        alive = torch.ones(b)
        for r in range(MAXR):
            h = self.cell(h.roll(1, dims=1).flatten(0, 1), h.flatten(0, 1)).view_as(h)
            s = h[:, 0]
            p = torch.sigmoid(self.halt(s)).squeeze(-1)
            n_updates = n_updates + alive
            if r == MAXR - 1:
                ends = alive
            else:
                ends = alive * (acc + p > 1 - self.eps).float()
            keeps = alive - ends
            w = keeps * p + ends * (1 - acc)
            remainder = remainder + ends * (1 - acc)
            acc = acc + keeps * p
            y = y + w.unsqueeze(-1) * s
            alive = keeps
        return self.out(y), n_updates, remainder


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--tau", type=float, default=0.02)
    ap.add_argument("--iters", type=int, default=450)
    ap.add_argument("--lr", type=float, default=3e-3)
    args = ap.parse_args()
    torch.manual_seed(1)
    gen = torch.Generator().manual_seed(1)
    model = ACT()
    opt = torch.optim.Adam(model.parameters(), lr=args.lr)
    vx, vy, vgap = rings(1000, torch.Generator().manual_seed(2))
    for it in range(1, args.iters + 1):
        x, y, _ = rings(64, gen)
        logits, n, rem = model(x)
        ce = F.cross_entropy(logits, y)
        ponder = (n + rem).mean()
        loss = ce + args.tau * ponder
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if it % 75 == 0:
            with torch.no_grad():
                logits, n, _ = model(vx)
            acc = (logits.argmax(-1) == vy).float().mean()
            print(f"{it:4d} ce {ce.item():.4f} ponder {ponder.item():.3f} acc {acc:.3f} rounds {n.mean():.2f} (gap 1-2: {n[vgap <= 2].mean():.2f}, gap 6+: {n[vgap >= 6].mean():.2f})")


if __name__ == "__main__":
    main()
