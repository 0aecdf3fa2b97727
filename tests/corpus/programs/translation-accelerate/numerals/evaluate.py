import torch

from numerals.data import BOS, EOS


@torch.no_grad()
def exact(model, data):
    model.eval()
    out = torch.full((len(data), 1), BOS)
    for _ in range(data.target.size(1) - 1):
        out = torch.cat([out, model(data.source, out)[:, -1:].argmax(-1)], 1)
    hits = 0
    for row, gold in zip(out.tolist(), data.target.tolist()):
        end = gold.index(EOS) + 1
        hits += row[:end] == gold[:end]
    return hits / len(data)
