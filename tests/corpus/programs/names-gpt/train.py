"""Regularised char GPT on a small collection of generated names, prints samples while training."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(5)
r = random.Random(5)


def name():
    # syllables chosen by a sparse random grammar
    s = r.choice("kmtrs")
    out = ""
    for _ in range(r.randint(2, 4)):
        v = r.choice("aeiou")
        out += s + v
        s = r.choice("nlrd") if v in "aeo" else r.choice("kstv")
    return out + r.choice(["n", "x", "", ""])


names = [name() for _ in range(260)]
text = "\n".join(names)
vocab = sorted(set(text))
ids = torch.tensor([vocab.index(c) for c in text])
cut = int(len(ids) * 0.7)
parts = {"train": ids[:cut], "val": ids[cut:]}
T, B = 32, 24


def batch(part):
    d = parts[part]
    at = torch.randint(len(d) - T - 1, (B,))
    return torch.stack([d[i:i + T] for i in at]), torch.stack([d[i + 1:i + T + 1] for i in at])


class NameGPT(nn.Module):
    def __init__(self, d=64, heads=4, depth=2, dropout=0.35):
        super().__init__()
        self.tok, self.pos = nn.Embedding(len(vocab), d), nn.Embedding(T, d)
        self.drop = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(d, heads, 4 * d, dropout, "gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, depth, nn.LayerNorm(d), enable_nested_tensor=False)
        self.out = nn.Linear(d, len(vocab))
        self.register_buffer("mask", torch.triu(torch.ones(T, T, dtype=torch.bool), 1))

    def forward(self, x):
        t = x.size(1)
        h = self.drop(self.tok(x) + self.pos.weight[:t])
        return self.out(self.body(h, mask=self.mask[:t, :t]))

    @torch.no_grad()
    def sample(self, n=24):
        self.eval()
        x = torch.tensor([[vocab.index("\n")]])
        for _ in range(n):
            p = self(x[:, -T:])[0, -1].softmax(-1)
            x = torch.cat([x, torch.multinomial(p, 1)[None]], 1)
        self.train()
        return "".join(vocab[i] for i in x[0].tolist()).strip().replace("\n", " ")


@torch.no_grad()
def val_loss(model, n=8):
    was = model.training
    model.eval()
    out = 0.0
    for _ in range(n):
        x, y = batch("val")
        out += F.cross_entropy(model(x).transpose(1, 2), y).item() / n
    model.train(was)
    return out


model = NameGPT()
opt = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.1)
run = 0.0
for step in range(1, 401):
    x, y = batch("train")
    loss = F.cross_entropy(model(x).transpose(1, 2), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
    run += loss.item()
    if step % 50 == 0:
        print(f"{step:4d} train {run / 50:.3f} val {val_loss(model):.3f}   {model.sample()}")
        run = 0.0
