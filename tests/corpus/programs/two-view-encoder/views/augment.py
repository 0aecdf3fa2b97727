import torch


def view(x):
    shift = int(torch.randint(0, x.size(1), (1,)))
    gain = 0.6 + 0.8 * torch.rand(len(x), 1)
    return gain * x.roll(shift, 1) + 0.2 * torch.randn_like(x)


def two_views(x):
    return view(x), view(x)
