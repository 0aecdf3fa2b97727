import torch
from torch import nn

from numerals.data import PAD, WIDTH


class Translator(nn.Module):
    def __init__(self, vocab=12, width=48):
        super().__init__()
        self.tokens, self.places = nn.Embedding(vocab, width), nn.Embedding(WIDTH, width)
        self.core = nn.Transformer(width, 4, 1, 1, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(width, vocab)

    def embed(self, ids):
        return self.tokens(ids) + self.places.weight[: ids.size(1)]

    def forward(self, source, target):
        causal = torch.ones(target.size(1), target.size(1), dtype=torch.bool).triu(1)
        pad = source == PAD
        states = self.core(
            self.embed(source), self.embed(target), tgt_mask=causal, src_key_padding_mask=pad, memory_key_padding_mask=pad
        )
        return self.out(states)
