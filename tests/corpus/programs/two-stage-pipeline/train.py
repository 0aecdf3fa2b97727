"""Two-stage denoise-then-classify pipeline, trained jointly."""
import torch
from torch import nn

torch.manual_seed(31)
LEN, CLASSES = 40, 8
basis = torch.randn(CLASSES, LEN)


def batch(n):
    y = torch.randint(CLASSES, (n,))
    amp = torch.randint(0, 2, (n, 1)) * 2.0 - 1
    return amp * basis[y] + 0.8 * torch.randn(n, LEN), y


class StageOne(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(LEN, 64), nn.ReLU(), nn.Linear(64, width))

    def forward(self, x):
        return self.layers(x)


class StageTwo(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, CLASSES))

    def forward(self, code):
        return self.layers(code)


class Pipeline(nn.Module):
    def __init__(self):
        super().__init__()
        self.stages = nn.ModuleList([StageOne(), StageTwo()])
        self.trace = []

    def forward(self, x):
        self.trace = []
        for stage in self.stages:
            x = stage(x)
            x = self._remember(x) if stage is not self.stages[-1] else x
        return x

    def _remember(self, t):
        self.trace.append(t.detach().std().item())
        return t


pipe = Pipeline()
opt = torch.optim.RMSprop(pipe.parameters(), lr=1e-3)
xent = nn.CrossEntropyLoss()
vx, vy = batch(800)
avg = None
for step in range(1, 1501):
    x, y = batch(64)
    opt.zero_grad()
    loss = xent(pipe(x), y)
    loss.backward()
    opt.step()
    avg = loss.item() if avg is None else 0.98 * avg + 0.02 * loss.item()
    if step % 150 == 0:
        pipe.eval()
        with torch.no_grad():
            acc = (pipe(vx).argmax(-1) == vy).float().mean().item()
        pipe.train()
        print(f"[{step}] loss {avg:.3f} acc {acc:.3f} code std {pipe.trace[0]:.2f}")
