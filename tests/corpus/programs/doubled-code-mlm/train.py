"""BERT-style masked language model on doubled code words."""
import random
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F


@dataclass
class Cfg:
    length: int = 11
    d: int = 64
    heads: int = 4
    layers: int = 2
    mask_prob: float = 0.15
    steps: int = 450
    batch: int = 64
    lr: float = 2e-3


CHARS = "0123456789abcdef=#"
MASK = CHARS.index("#")


def corpus(n, seed):
    r = random.Random(seed)
    rows = []
    for _ in range(n):
        w = "".join(r.choice(CHARS[:16]) for _ in range(Cfg.length // 2))
        s = w + "=" + w[::-1]
        rows.append([CHARS.index(c) for c in s])
    return torch.tensor(rows)


def corrupt(ids, p, gen=None):
    sel = torch.rand(ids.shape, generator=gen) < p
    kind = torch.rand(ids.shape, generator=gen)
    labels = ids.masked_fill(~sel, -100)
    x = ids.masked_fill(sel & (kind < 0.8), MASK)
    rand = torch.randint(0, 16, ids.shape, generator=gen)
    return torch.where(sel & (kind >= 0.9), rand, x), labels


class Bert(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.tok, self.pos = nn.Embedding(len(CHARS), c.d), nn.Embedding(c.length, c.d)
        layer = nn.TransformerEncoderLayer(c.d, c.heads, 4 * c.d, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, c.layers, nn.LayerNorm(c.d), enable_nested_tensor=False)
        self.transform = nn.Sequential(nn.Linear(c.d, c.d), nn.GELU(), nn.LayerNorm(c.d))
        self.bias = nn.Parameter(torch.zeros(len(CHARS)))

    def forward(self, x, labels):
        h = self.encoder(self.tok(x) + self.pos.weight[:x.size(1)])
        logits = F.linear(self.transform(h), self.tok.weight, self.bias)
        return F.cross_entropy(logits.transpose(1, 2), labels), logits


def main():
    torch.manual_seed(30)
    c = Cfg()
    train, val = corpus(8000, 0), corpus(500, 1)
    model = Bert(c)
    opt = torch.optim.AdamW(model.parameters(), lr=c.lr, weight_decay=0.01)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, c.lr, total_steps=c.steps, pct_start=0.1)
    vx, vl = corrupt(val, c.mask_prob, torch.Generator().manual_seed(3))
    for step in range(1, c.steps + 1):
        x, labels = corrupt(train[torch.randint(len(train), (c.batch,))], c.mask_prob)
        loss, _ = model(x, labels)
        opt.zero_grad()
        loss.backward()
        opt.step()
        sched.step()
        if step % 75 == 0:
            model.eval()
            with torch.no_grad():
                v, logits = model(vx, vl)
            model.train()
            m = vl != -100
            print(f"step {step} mlm {loss.item():.3f} val mlm {v.item():.3f} val acc {(logits.argmax(-1) == vl)[m].float().mean():.3f}")


if __name__ == "__main__":
    main()
