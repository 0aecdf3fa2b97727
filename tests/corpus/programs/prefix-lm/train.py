"""Prefix language model: the question is read in both directions, the answer is produced left to right."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(2)
random.seed(2)
P, A = 8, 8  # question length, answer length
VOCAB, SEP = 12, 11


def examples(n):
    rows = []
    for _ in range(n):
        q = [random.randint(1, 9) for _ in range(P)]
        rows.append(q + [SEP] + sorted(q)[::-1])
    return torch.tensor(rows)


class PrefixAttention(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        n = P + A
        allowed = torch.ones(n, n, dtype=torch.bool).tril()
        allowed[: P + 1, : P + 1] = True  # question plus separator
        self.register_buffer("allowed", allowed)

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(x).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=self.allowed[:t, :t])
        return self.out(y.transpose(1, 2).reshape(b, t, d))


class Block(nn.Module):
    def __init__(self, d=48, heads=4):
        super().__init__()
        self.a, self.m = PrefixAttention(d, heads), nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x):
        x = x + self.a(self.n1(x))
        return x + self.m(self.n2(x))


class PrefixLM(nn.Module):
    def __init__(self, d=48, depth=2):
        super().__init__()
        self.tok, self.pos = nn.Embedding(VOCAB, d), nn.Embedding(P + A + 1, d)
        self.blocks = nn.Sequential(*[Block(d) for _ in range(depth)])
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, VOCAB)

    def forward(self, ids):
        return self.head(self.norm(self.blocks(self.tok(ids) + self.pos.weight[:ids.size(1)])))

    def loss(self, rows):
        logits = self(rows[:, :-1])
        # position P holds the separator, its output is the first answer token
        return F.cross_entropy(logits[:, P:].flatten(0, 1), rows[:, P + 1:].flatten())


@torch.no_grad()
def solve(model, rows):
    ids = rows[:, : P + 1]
    for _ in range(A):
        ids = torch.cat([ids, model(ids)[:, -1].argmax(-1, keepdim=True)], 1)
    return (ids[:, P + 1:] == rows[:, P + 1:]).all(1).float().mean().item()


train, val = examples(6000), examples(200)
model = PrefixLM()
opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
for it in range(1, 401):
    loss = model.loss(train[torch.randint(len(train), (48,))])
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    if it % 80 == 0:
        with torch.no_grad():
            v = model.loss(val).item()
        print(f"it {it} train {loss.item():.4f} val {v:.4f} solved {solve(model, val):.3f}")
