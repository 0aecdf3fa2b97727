import math

import torch


def sensors(hours, seed):
    """Temperature, pressure and demand: different units, common rhythm."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(hours, dtype=torch.float32)
    day = torch.sin(2 * math.pi * t / 24)
    drift = torch.cumsum(0.05 * torch.randn(hours, generator=g), 0)
    temperature = 15 + 6 * day + drift
    pressure = 1013 + 3 * torch.cos(2 * math.pi * t / 61) + 0.4 * torch.randn(hours, generator=g)
    demand = 420 - 30 * day.roll(3) + 8 * torch.sin(2 * math.pi * t / 168) - 2 * drift + 4 * torch.randn(hours, generator=g)
    return torch.stack([temperature, pressure, demand], 1)
