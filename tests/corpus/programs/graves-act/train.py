# Adaptive computation time (Graves 2016) on parity of a +-1/0 vector.
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(6)
N, MAX_STEPS, EPS, TAU = 6, 8, 0.01, 0.02


def parity_batch(b):
    k = torch.randint(1, N + 1, (b, 1))
    x = (torch.randint(0, 2, (b, N)) * 2 - 1).float() * (torch.arange(N)[None] < k)
    return x, ((x == 1).sum(1) % 2).float()


class ACT(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.cell = nn.GRUCell(N + 1, hidden)
        self.halt = nn.Linear(hidden, 1)
        self.out = nn.Linear(hidden, 1)
        nn.init.constant_(self.halt.bias, -1.0)
        self.hidden = hidden

    def forward(self, x):
        b = x.size(0)
        h = x.new_zeros(b, self.hidden)
        total = x.new_zeros(b)          # halting probability used so far
        running = torch.ones(b, dtype=torch.bool)
        steps = x.new_zeros(b)
        remainder = x.new_zeros(b)
        mix = x.new_zeros(b, self.hidden)
        for n in range(MAX_STEPS):
            flag = torch.full((b, 1), float(n == 0))
            h = self.cell(torch.cat([x, flag], 1), h)
            p = torch.sigmoid(self.halt(h)).squeeze(1)
            last = running & ((total + p >= 1 - EPS) | (n == MAX_STEPS - 1))
            still = running & ~last
            w = torch.where(last, 1 - total, torch.where(still, p, torch.zeros_like(p)))
            remainder = torch.where(last, 1 - total, remainder)
            mix = mix + w[:, None] * h
            total = total + w
            steps = steps + running.float()
            running = still
            if not running.any():
                break
        return self.out(mix).squeeze(1), steps + remainder, steps


model = ACT()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
val_x, val_y = parity_batch(1000)
for it in range(601):
    x, y = parity_batch(128)
    logit, ponder, steps = model(x)
    task = F.binary_cross_entropy_with_logits(logit, y)
    loss = task + TAU * ponder.mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    if it % 60 == 0:
        with torch.no_grad():
            vl, vp, vs = model(val_x)
        acc = ((vl > 0).float() == val_y).float().mean().item()
        print(f"it {it} task {task.item():.4f} ponder {ponder.mean().item():.3f} val acc {acc:.3f} steps {vs.mean().item():.2f}")
