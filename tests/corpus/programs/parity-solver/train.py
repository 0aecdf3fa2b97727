"""Recurrent solver with adaptive depth: parity of a bit string, one update per inner step."""
import torch
from torch import nn


class Cell(nn.Module):
    def __init__(self, n_bits, d):
        super().__init__()
        self.read = nn.Linear(n_bits, d)
        self.rec = nn.GRUCell(d, d)

    def forward(self, bits, h):
        return self.rec(torch.relu(self.read(bits)), h)


class AdaptiveSolver(nn.Module):
    def __init__(self, n_bits=6, d=64, max_steps=8):
        super().__init__()
        self.cell = Cell(n_bits, d)
        self.halt = nn.Linear(d, 1)
        self.answer = nn.Linear(d, 2)
        self.d, self.max_steps = d, max_steps

    def forward(self, bits):
        n = len(bits)
        h = bits.new_zeros(n, self.d)
        running = bits.new_ones(n, 1)
        out, depth = bits.new_zeros(n, 2), bits.new_zeros(n, 1)
        for t in range(self.max_steps):
            h = self.cell(bits, h)
            stop = torch.sigmoid(self.halt(h))
            if t == self.max_steps - 1:
                stop = torch.ones_like(stop)
            depth = depth + running
            out = out + running * stop * self.answer(h)
            running = running * (1 - stop)
        return out, depth.squeeze(1)


def problems(n):
    b = torch.randint(0, 2, (n, 6)).float()
    return b * 2 - 1, (b.sum(1) % 2).long()


torch.manual_seed(2)
solver = AdaptiveSolver()
opt = torch.optim.Adam(solver.parameters(), lr=2e-3)
TIME_COST = 0.02
hx, hy = problems(500)
for step in range(1, 601):
    x, y = problems(64)
    logits, depth = solver(x)
    task = nn.functional.cross_entropy(logits, y)
    loss = task + TIME_COST * depth.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    if step % 100 == 0:
        with torch.no_grad():
            lo, dp = solver(hx)
        print(f"step {step} task {task.item():.3f} acc {(lo.argmax(1) == hy).float().mean():.3f} depth mean {dp.mean():.2f} std {dp.std():.2f}")
