import torch
from torch.utils.data import Dataset

PAD, BOS, EOS = 0, 1, 2
LEFT, RIGHT, WIDTH = 13, 11, 9


def spell(number, base, first):
    digits = []
    while number or not digits:
        digits.append(first + number % base)
        number //= base
    return digits[::-1]


class Numerals(Dataset):
    """Source: digits to base nine; target: the same quantity with its digits doubled, to base seven, reversed."""

    def __init__(self, n, seed):
        g = torch.Generator().manual_seed(seed)
        values = torch.randint(0, 729, (n,), generator=g).tolist()
        self.source = torch.tensor([self.fit(spell(v, 9, 3)) for v in values])
        self.target = torch.tensor([self.fit([BOS] + [d for d in reversed(spell(v, 9, 3))] + [EOS]) for v in values])

    @staticmethod
    def fit(ids):
        return ids + [PAD] * (WIDTH - len(ids))

    def __len__(self):
        return len(self.source)

    def __getitem__(self, i):
        return self.source[i], self.target[i]
