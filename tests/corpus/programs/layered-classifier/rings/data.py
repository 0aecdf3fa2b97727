import torch
from torch.utils.data import DataLoader, TensorDataset


def rings(n, classes, seed):
    """The class is the ring a point lies in, turned by its angle; sorted by class as in the source file."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(n) * classes // n
    angle = 2 * torch.pi * torch.rand(n, generator=g)
    sector = (3 * angle / (2 * torch.pi)).long() % 3
    ring = (y - 3 * sector) % classes
    radius = (ring + 0.15 + 0.7 * torch.rand(n, generator=g)) / classes * 2
    x = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    return TensorDataset(2 * torch.cat([x, x.norm(dim=1, keepdim=True) - 1], 1), y)


def loaders(args):
    train = DataLoader(rings(2400, args.classes, 1), batch_size=args.batch_size, shuffle=True)
    return train, DataLoader(rings(600, args.classes, 2), batch_size=300)
