import torch
import torch.nn.functional as F
from torch import nn

from packing.corpus import VOCAB


class Layer(nn.Module):
    def __init__(self, width, heads=4):
        super().__init__()
        self.heads = heads
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.ff = nn.Sequential(nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, width))

    def forward(self, x, allowed):
        b, t, w = x.shape
        q, k, v = (p.view(b, t, self.heads, -1).transpose(1, 2) for p in self.qkv(self.n1(x)).chunk(3, -1))
        scores = q @ k.transpose(-2, -1) / (w // self.heads) ** 0.5
        scores = scores.masked_fill(~allowed[:, None], float("-inf"))
        y = scores.softmax(-1) @ v
        x = x + self.out(y.transpose(1, 2).reshape(b, t, w))
        return x + self.ff(self.n2(x))


class PackedLM(nn.Module):
    def __init__(self, width, row):
        super().__init__()
        self.token, self.place = nn.Embedding(VOCAB, width), nn.Embedding(row, width)
        self.layers = nn.ModuleList([Layer(width) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, VOCAB)

    def forward(self, ids, owner, place):
        t = ids.size(1)
        causal = torch.ones(t, t, dtype=torch.bool).tril()
        allowed = causal & (owner[:, :, None] == owner[:, None, :])
        x = self.token(ids) + self.place(place)
        for layer in self.layers:
            x = layer(x, allowed)
        return self.head(self.norm(x))


def next_token_loss(model, ids, owner, place):
    logits = model(ids, owner, place)[:, :-1]
    same = owner[:, :-1] == owner[:, 1:]
    target = torch.where(same, ids[:, 1:], torch.full_like(ids[:, 1:], -100))
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-100)
