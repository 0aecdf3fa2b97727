import itertools

import torch
import torch.nn as nn
from torch.utils.data import DataLoader, IterableDataset


class SensorStream(IterableDataset):
    """endless, already random stream of (window, remaining time) samples"""

    def __init__(self, seed, limit=None):
        self.seed = seed
        self.limit = limit

    def _generate(self):
        g = torch.Generator().manual_seed(self.seed)
        t = torch.linspace(0, 1, 32)
        while True:
            wear = torch.rand(1, generator=g)
            speed = 3 + 3 * torch.rand(1, generator=g)
            vib = (0.3 + wear) * torch.sin(6.2832 * speed * t + 6.2832 * torch.rand(1, generator=g))
            rough = wear ** 2 * torch.randn(32, generator=g)
            yield torch.stack([vib + 0.5 * rough, rough.abs()]), 1.7 * (1 - 2 * wear)

    def __iter__(self):
        return itertools.islice(self._generate(), self.limit)


class WearNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(2, 16, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(16, 24, 5, padding=2), nn.ReLU())
        self.fc = nn.Linear(48, 1)

    def forward(self, x):
        h = self.conv(x)
        return self.fc(torch.cat([h.mean(2), h.amax(2)], 1))


def main():
    torch.manual_seed(216)
    stream = iter(DataLoader(SensorStream(seed=1), batch_size=50))
    holdout = list(DataLoader(SensorStream(seed=2, limit=500), batch_size=250))
    model = WearNet()
    criterion = nn.SmoothL1Loss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    smooth = None
    for step in range(1, 401):
        model.train()
        x, y = next(stream)
        loss = criterion(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        smooth = loss.item() if smooth is None else 0.95 * smooth + 0.05 * loss.item()
        if step % 50 == 0:
            model.eval()
            with torch.no_grad():
                err = sum(criterion(model(a), b).item() for a, b in holdout) / len(holdout)
            print(f"step {step} loss(ema) {smooth:.4f} holdout {err:.4f}")


if __name__ == "__main__":
    main()
