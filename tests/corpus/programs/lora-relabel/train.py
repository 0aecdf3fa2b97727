"""Adapt a pretrained encoder to a new labelling rule with low-rank adapters on its linear layers."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, SEQ, CLASSES = 16, 8, 4


def old_rule(n, seed):
    x = torch.randint(VOCAB, (n, SEQ), generator=torch.Generator().manual_seed(seed))
    return x, x[:, 0] % CLASSES


def new_rule(n, seed):
    # class of the token that the first token points at
    x = torch.randint(VOCAB, (n, SEQ), generator=torch.Generator().manual_seed(seed))
    return x, x.gather(1, (x[:, :1] % (SEQ - 1)) + 1).squeeze(1) % CLASSES


class Layer(nn.Module):
    def __init__(self, d, heads=4):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.up, self.down = nn.Linear(d, 3 * d), nn.Linear(3 * d, d)
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)

    def forward(self, x):
        h = self.ln1(x)
        q, k, v = (m(h).unflatten(-1, (self.heads, -1)).transpose(1, 2) for m in (self.q, self.k, self.v))
        x = x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(self.ln2(x))))


class Encoder(nn.Module):
    def __init__(self, d=48, depth=2):
        super().__init__()
        self.emb, self.pos = nn.Embedding(VOCAB, d), nn.Parameter(torch.randn(SEQ, d) * 0.3)
        self.layers = nn.ModuleList(Layer(d) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, CLASSES)

    def forward(self, x):
        h = self.emb(x) + self.pos
        for layer in self.layers:
            h = layer(h)
        return self.head(self.norm(h[:, 0]))


class LoRALinear(nn.Module):
    def __init__(self, base, r=8, alpha=16):
        super().__init__()
        self.base, self.scale = base, alpha / r
        self.A = nn.Parameter(torch.randn(r, base.in_features) / math.sqrt(r))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))

    def forward(self, x):
        return self.base(x) + F.linear(F.linear(x, self.A), self.B) * self.scale


def add_adapters(model, names=("q", "k", "v", "o", "up", "down")):
    for layer in model.layers:
        for n in names:
            setattr(layer, n, LoRALinear(getattr(layer, n)))


def train(model, opt, data, dev, steps, tag):
    for step in range(1, steps + 1):
        i = torch.randint(len(data[0]), (64,))
        loss = F.cross_entropy(model(data[0][i]), data[1][i])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % (steps // 4) == 0:
            with torch.no_grad():
                acc = (model(dev[0]).argmax(1) == dev[1]).float().mean().item()
            print(f"[{tag}] step {step} loss {loss.item():.4f} acc {acc:.4f}")


torch.manual_seed(15)
model = Encoder()
train(model, torch.optim.AdamW(model.parameters(), lr=2e-3), old_rule(4000, 0), old_rule(500, 1), 100, "pretrain")

for name, p in model.named_parameters():
    p.requires_grad_(name.startswith("head"))
add_adapters(model)
optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=3e-3)
print("trainable", sum(p.numel() for p in model.parameters() if p.requires_grad), "of", sum(p.numel() for p in model.parameters()))
train(model, optimizer, new_rule(8000, 2), new_rule(500, 3), 320, "adapt")
