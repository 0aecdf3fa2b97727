import torch

SIZE, KINDS = 48, 6


def signals(n, seed):
    """A class is a product of two tones; phase and loudness say nothing about it."""
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(KINDS, (n,), generator=g)
    t = torch.arange(SIZE) / SIZE
    tones = torch.tensor([[2, 5], [2, 9], [3, 7], [3, 11], [5, 9], [7, 11]])[y].float()
    phase = torch.rand(n, 2, 1, generator=g)
    x = torch.sin(2 * torch.pi * (tones[:, :, None] * t + phase)).prod(1)
    loud = 0.5 + torch.rand(n, 1, generator=g)
    return loud * x + 0.6 * torch.randn(n, SIZE, generator=g), y
