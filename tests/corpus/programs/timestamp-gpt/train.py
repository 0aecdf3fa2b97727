"""Causal GPT that rewrites time stamps; lines are of different length and padded on the right."""
import argparse
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

VOCAB = "_0123456789: /=T;"
PAD, IGNORE = 0, -1


def line(r):
    h, m, d, mon = r.randrange(24), r.randrange(60), r.randint(1, 28), r.randint(1, 12)
    return f"{d}/{mon} {h}:{m:02d}={mon:02d}{d:02d}T{h:02d}{m:02d};"


def make_lines(n, seed):
    r = random.Random(seed)
    lines = list(dict.fromkeys(line(r) for _ in range(n)))
    return [torch.tensor([VOCAB.index(c) for c in s]) for s in lines]


def collate(rows):
    x = pad_sequence([r[:-1] for r in rows], batch_first=True, padding_value=PAD)
    y = pad_sequence([r[1:] for r in rows], batch_first=True, padding_value=IGNORE)
    return x, y


class CausalBlock(nn.Module):
    def __init__(self, d, h):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.mha = nn.MultiheadAttention(d, h, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        h, t = self.ln1(x), x.size(1)
        mask = torch.ones(t, t, dtype=torch.bool).triu(1)
        x = x + self.mha(h, h, h, attn_mask=mask, need_weights=False)[0]
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, d=48, h=4, depth=2, ctx=24):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(len(VOCAB), d), nn.Embedding(ctx, d)
        self.blocks = nn.Sequential(*[CausalBlock(d, h) for _ in range(depth)])
        self.ln_f, self.head = nn.LayerNorm(d), nn.Linear(d, len(VOCAB), bias=False)

    def forward(self, x, y=None):
        h = self.ln_f(self.blocks(self.wte(x) + self.wpe(torch.arange(x.size(1)))))
        logits = self.head(h)
        return logits, None if y is None else F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=IGNORE)


def answer(model, line):
    cut = (line == VOCAB.index("=")).nonzero().item() + 1
    ids = line[None, :cut]
    while ids.size(1) < len(line):
        with torch.no_grad():
            ids = torch.cat([ids, model(ids)[0][:, -1:].argmax(-1)], 1)
    return torch.equal(ids[0], line)


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--epochs", type=int, default=5)
    ap.add_argument("--lr", type=float, default=4e-3)
    ap.add_argument("--batch-size", type=int, default=48)
    a = ap.parse_args()
    torch.manual_seed(0)
    lines = make_lines(4000, 0)
    train, val = lines[:-120], lines[-120:]
    model = GPT()
    opt = torch.optim.AdamW(model.parameters(), lr=a.lr, weight_decay=0.01)
    loader = DataLoader(train, a.batch_size, shuffle=True, collate_fn=collate)
    sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, a.epochs * len(loader))
    for ep in range(a.epochs):
        s = 0.0
        for x, y in loader:
            _, loss = model(x, y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            s += loss.item()
        with torch.no_grad():
            v = model(*collate(val))[1].item()
        print(f"epoch {ep + 1}: loss {s / len(loader):.4f} val {v:.4f}")
    print(f"right answers {sum(answer(model, l) for l in val)}/{len(val)}")


main()
