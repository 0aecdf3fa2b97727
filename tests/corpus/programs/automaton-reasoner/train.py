"""Recursive reasoner: a shared cell is applied again and again to a cellular grid until it decides to stop."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(31)
N, COLORS, D, MAX_DEPTH = 9, 4, 40, 9


def make(n, seed):
    """A coloured source somewhere in a row of grey cells; the cell at the right wall must report the colour."""
    g = torch.Generator().manual_seed(seed)
    dist = torch.randint(1, N, (n,), generator=g)
    color = torch.randint(COLORS, (n,), generator=g)
    grid = torch.randint(COLORS + 1, 2 * COLORS + 1, (n, N), generator=g)
    grid[torch.arange(n), N - 1 - dist] = color
    return grid, color, dist


class Reasoner(nn.Module):
    def __init__(self, tau=0.01):
        super().__init__()
        self.emb = nn.Embedding(2 * COLORS + 1, D)
        self.cell = nn.Sequential(nn.Linear(3 * D, 2 * D), nn.ReLU(), nn.Linear(2 * D, D))
        self.norm = nn.LayerNorm(D)
        self.halt = nn.Linear(D, 1)
        nn.init.constant_(self.halt.bias, -2.0)
        self.readout = nn.Linear(D, COLORS)
        self.tau = tau

    def step(self, h, e):
        left = F.pad(h, (0, 0, 1, 0))[:, :-1]
        return self.norm(h + self.cell(torch.cat([h, left, e], -1)))

    def forward(self, grid, y=None):
        e = self.emb(grid)
        h = e
        running = torch.ones(len(grid), dtype=torch.bool)
        depth = torch.zeros(len(grid), dtype=torch.long)
        cum = torch.zeros(len(grid))
        mix, ponder = 0.0, torch.zeros(len(grid))
        for _ in range(MAX_DEPTH):
            new = self.step(h, e)
            h = torch.where(running[:, None, None], new, h)
            depth = depth + running.long()
            p = torch.sigmoid(self.halt(h[:, -1])).squeeze(-1) * running
            stop = running & ((cum + p >= 0.99) | (_ == MAX_DEPTH - 1))
            w = torch.where(stop, 1 - cum, p)
            mix = mix + w[:, None] * h[:, -1]
            ponder = ponder + running.float() + torch.where(stop, 1 - cum, torch.zeros_like(cum))
            cum = cum + p
            running = running & ~stop
        logits = self.readout(mix)
        if y is None:
            return logits, depth
        loss = F.cross_entropy(logits, y) + self.tau * ponder.mean()
        return loss, depth


train, test = make(5000, 0), make(600, 1)
model = Reasoner()
opt = torch.optim.AdamW(model.parameters(), lr=2e-3)
for it in range(1, 501):
    i = torch.randint(5000, (64,))
    loss, depth = model(train[0][i], train[1][i])
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    if it % 100 == 0:
        with torch.no_grad():
            logits, d = model(test[0])
        acc = (logits.argmax(-1) == test[1]).float().mean()
        d = d.float()
        print(f"{it} loss {loss.item():.3f} acc {acc:.3f} depth mean {d.mean():.2f} min {d.min():.0f} max {d.max():.0f} | near {d[test[2] <= 2].mean():.2f} far {d[test[2] >= 7].mean():.2f}")
