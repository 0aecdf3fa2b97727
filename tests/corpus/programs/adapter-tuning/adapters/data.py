import torch

LENGTH, VOCAB = 12, 30


def labelled(n, seed, shift):
    """The label is how often the tokens of a set occur, up to four; the set moves with the task."""
    g = torch.Generator().manual_seed(seed)
    ids = torch.randint(1, VOCAB, (n, LENGTH), generator=g)
    wanted = (torch.arange(6) + shift) % (VOCAB - 1) + 1
    count = torch.isin(ids, wanted).sum(1).clamp(max=4)
    return ids, count
