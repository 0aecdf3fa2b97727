import torch
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def features(n, seed):
    g = torch.Generator().manual_seed(seed)
    mu = torch.randn(8, 24, generator=torch.Generator().manual_seed(3)) * 0.55
    y = torch.randint(8, (n,), generator=g)
    return mu[y] + torch.randn(n, 24, generator=g), y


def loaders(rank, world, batch):
    train = TensorDataset(*features(480, 1))
    sampler = DistributedSampler(train, num_replicas=world, rank=rank, shuffle=True, seed=4)
    return DataLoader(train, batch_size=batch, sampler=sampler), sampler, features(1500, 2)
