import torch


def puzzles(n, o, generator=None):
    """Each cell becomes the largest symbol within reach to its left; every cell has its own reach."""
    x = torch.randint(o.symbols, (n, o.length), generator=generator)
    reach = torch.randint(0, 4, (n, o.length), generator=generator)
    y = x.clone()
    for back in range(1, 4):
        shifted = torch.zeros_like(x)
        shifted[:, back:] = x[:, :-back]
        y = torch.where(reach >= back, torch.maximum(y, shifted), y)
    return x, reach, y
