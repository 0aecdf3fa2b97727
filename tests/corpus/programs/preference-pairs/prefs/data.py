import torch

VOCAB, LENGTH = 20, 14


def sequences(n, seed):
    """Random walks on a ring of tokens, up or down with equal chance."""
    g = torch.Generator().manual_seed(seed)
    start = torch.randint(VOCAB, (n, 1), generator=g)
    moves = torch.randint(0, 2, (n, LENGTH - 1), generator=g) * 2 - 1
    return torch.cat([start, start + moves.cumsum(1)], 1) % VOCAB


def pairs(n, seed):
    """Of two walks with the same start the one that goes up more often is liked better."""
    a, b = sequences(n, seed), sequences(n, seed + 1000)
    b = (b - b[:, :1] + a[:, :1]) % VOCAB
    ups = [((s[:, 1:] - s[:, :-1]) % VOCAB == 1).sum(1) for s in (a, b)]
    first = (ups[0] >= ups[1])[:, None]
    keep = ups[0] != ups[1]
    return torch.where(first, a, b)[keep], torch.where(first, b, a)[keep]


def batches(ids, size, steps):
    for _ in range(steps):
        yield ids[torch.randint(len(ids), (size,))]
