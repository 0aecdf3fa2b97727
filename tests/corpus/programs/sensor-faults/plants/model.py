from torch import nn

from plants.data import KINDS


class Residual(nn.Module):
    def __init__(self, width, dropout):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, width))

    def forward(self, h):
        return h + self.inner(self.norm(h))


class FaultNet(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.stem = nn.Linear(cfg["features"], cfg["hidden"])
        self.blocks = nn.ModuleList([Residual(cfg["hidden"], cfg["dropout"]) for _ in range(2)])
        self.head = nn.Linear(cfg["hidden"], KINDS)

    def forward(self, x):
        h = self.stem(x)
        for block in self.blocks:
            h = block(h)
        return self.head(h.relu())
