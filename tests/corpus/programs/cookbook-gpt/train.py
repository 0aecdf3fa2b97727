"""Word-level GPT on a small cookbook; no dropout, short run, keeps the weights of the best evaluation."""
import copy
import random

import torch
import torch.nn as nn
import torch.nn.functional as F


def recipe(r):
    base = r.choice(["rice", "pasta", "bread", "soup"])
    likes = {"rice": ["peas", "fish", "egg"], "pasta": ["basil", "cheese", "tomato"], "bread": ["jam", "butter", "cheese"], "soup": ["leek", "peas", "tomato"]}[base]
    adds = r.sample(likes, 2)
    verb = r.choice(["boil", "bake"] if base != "soup" else ["simmer"])
    return f"take {base} ; {verb} {base} for {r.randint(1, 6)} minutes ; add {adds[0]} and {adds[1]} ; serve {base} .".split()


def book(n, seed):
    r = random.Random(seed)
    return [w for _ in range(n) for w in recipe(r)]


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.heads = heads
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.mlp = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, d))
        return x + self.mlp(self.n2(x))


class CookGPT(nn.Module):
    def __init__(self, vocab, ctx, d=48):
        super().__init__()
        self.tok, self.pos = nn.Embedding(vocab, d), nn.Embedding(ctx, d)
        self.blocks = nn.Sequential(Block(d, 4), Block(d, 4))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, vocab)

    def forward(self, idx):
        return self.head(self.norm(self.blocks(self.tok(idx) + self.pos.weight[:idx.size(1)])))


class Trainer:
    def __init__(self, ctx=40, lr=2e-3, bs=24, seed=12):
        torch.manual_seed(seed)
        tr, va = book(80, 0), book(120, 1)
        words = sorted(set(tr) | set(va))
        ids = {w: i for i, w in enumerate(words)}
        self.tr, self.va = (torch.tensor([ids[w] for w in part]) for part in (tr, va))
        self.ctx, self.bs = ctx, bs
        self.model = CookGPT(len(words), ctx)
        self.opt = torch.optim.AdamW(self.model.parameters(), lr=lr, weight_decay=0.1)
        self.best, self.best_state = float("inf"), None

    def loss(self, d, at):
        x = torch.stack([d[i:i + self.ctx] for i in at])
        y = torch.stack([d[i + 1:i + self.ctx + 1] for i in at])
        return F.cross_entropy(self.model(x).transpose(1, 2), y)

    @torch.no_grad()
    def evaluate(self, d):
        return self.loss(d, range(0, len(d) - self.ctx - 1, self.ctx)).item()

    def run(self, iters=360):
        for it in range(1, iters + 1):
            loss = self.loss(self.tr, torch.randint(len(self.tr) - self.ctx - 1, (self.bs,)).tolist())
            self.opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.opt.step()
            if it % 40 == 0:
                val = self.evaluate(self.va)
                if val < self.best:
                    self.best, self.best_state = val, copy.deepcopy(self.model.state_dict())
                print(f"iter {it}/{iters} train {self.evaluate(self.tr):.4f} val {val:.4f} best {self.best:.4f}")
        self.model.load_state_dict(self.best_state)
        print(f"final val {self.evaluate(self.va):.4f}")


if __name__ == "__main__":
    Trainer().run()
