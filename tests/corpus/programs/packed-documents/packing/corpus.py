import torch

VOCAB, LENGTH = 24, 12


def documents(n, seed):
    """Runs of documents in one dialect: a dialect fixes the step from a token to the next."""
    g = torch.Generator().manual_seed(seed)
    dialect = torch.randint(1, VOCAB, (n // 3 + 1,), generator=g).repeat_interleave(3)[:n]
    start = torch.randint(VOCAB, (n,), generator=g)
    steps = torch.arange(LENGTH)
    docs = (start[:, None] + dialect[:, None] * steps) % VOCAB
    noise = torch.rand(n, LENGTH, generator=g) < 0.05
    return torch.where(noise, torch.randint(VOCAB, (n, LENGTH), generator=g), docs)


def pack(docs, row):
    """Rows of whole documents, with the number of the document of each token and its place there."""
    per_row = row // LENGTH
    keep = len(docs) // per_row * per_row
    ids = docs[:keep].reshape(-1, per_row * LENGTH)
    owner = torch.arange(per_row).repeat_interleave(LENGTH).expand_as(ids)
    place = torch.arange(LENGTH).repeat(per_row).expand_as(ids)
    return ids, owner, place
