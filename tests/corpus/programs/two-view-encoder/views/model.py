import torch
import torch.nn.functional as F
from torch import nn


class Encoder(nn.Module):
    def __init__(self, width=32, out=24, normalise=True):
        super().__init__()
        self.normalise = normalise
        self.stem = nn.Sequential(nn.Conv1d(1, width, 9, padding=4), nn.ReLU(), nn.Conv1d(width, width, 9, padding=4), nn.ReLU())
        self.project = nn.Linear(2 * width, out)

    def features(self, x):
        h = self.stem(x[:, None])
        return torch.cat([h.mean(2), h.amax(2)], 1)

    def forward(self, x):
        z = self.project(self.features(x))
        return F.normalize(z, dim=1) if self.normalise else z
