import torch


def arcs(n):
    t = torch.rand(n) * torch.pi
    which = torch.randint(0, 2, (n,)).float()
    x = torch.cos(t) * (1 - 2 * which) + which
    y = torch.sin(t) * (1 - 2 * which) + 0.4 * which
    return torch.stack([x, y], 1) + 0.05 * torch.randn(n, 2)
