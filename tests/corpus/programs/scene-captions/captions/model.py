import torch
from torch import nn

from captions.scenes import CELL, CELLS, FIRST, KINDS


class Captioner(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.eye = nn.Sequential(nn.Conv2d(1, width, (CELL, CELL), stride=(1, CELL)), nn.ReLU(), nn.Flatten(2))
        self.where = nn.Parameter(0.1 * torch.randn(CELLS, width))
        self.tokens, self.places = nn.Embedding(FIRST + KINDS, width), nn.Embedding(CELLS + 2, width)
        self.decoder = nn.TransformerDecoderLayer(width, 4, 96, 0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(width, FIRST + KINDS)

    def forward(self, image, caption):
        seen = self.eye(image).transpose(1, 2) + self.where
        t = caption.size(1)
        later = torch.ones(t, t, dtype=torch.bool).triu(1)
        h = self.decoder(self.tokens(caption) + self.places.weight[:t], seen, tgt_mask=later)
        return self.out(h)
