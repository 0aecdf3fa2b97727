import math

import lightning as L
import torch
from torch.utils.data import DataLoader

HOURS = 24


def profiles(n, seed):
    """Two humps whose time, height and width differ from household to household, in watts."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(HOURS)
    day = torch.zeros(n, HOURS)
    for centre in (7.5, 19.0):
        at = centre + 2 * torch.randn(n, 1, generator=g)
        day += (1 + torch.rand(n, 1, generator=g)) * torch.exp(-((t - at) ** 2) / (2 + 6 * torch.rand(n, 1, generator=g)))
    base = 0.3 + 0.1 * torch.sin(2 * math.pi * t / HOURS)
    return 400 * (day + base) + 12 * torch.randn(n, HOURS, generator=g)


class ProfileData(L.LightningDataModule):
    def __init__(self, batch):
        super().__init__()
        self.batch = batch

    def setup(self, stage=None):
        train, val = profiles(2400, 1), profiles(500, 2)
        mean, std = train.mean(0), train.std(0)
        self.train, self.val = (train - mean) / std, (val - mean) / std

    def train_dataloader(self):
        return DataLoader(self.train, batch_size=self.batch, shuffle=True)

    def val_dataloader(self):
        return DataLoader(self.val, batch_size=250)
