"""Mixed-precision training of an encoder that tells which kind of bracket is used most."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
rng = random.Random(0)
L, D = 20, 32


def example():
    """1/2 and 3/4 and 5/6 are the three kinds of brackets"""
    n = rng.randrange(12, L + 1, 2)
    y = rng.randrange(3)
    weights = [3 if k == y else 1 for k in range(3)]
    kinds = rng.choices(range(3), weights, k=n // 2)
    s = [2 * k + 1 for k in kinds] + [2 * k + 2 for k in kinds]
    rng.shuffle(s)
    return s + [0] * (L - n), max(range(3), key=kinds.count)


def dataset(n):
    rows = [example() for _ in range(n)]
    return torch.tensor([r for r, _ in rows]), torch.tensor([y for _, y in rows])


class BracketNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.pos = nn.Embedding(7, D), nn.Embedding(L, D)
        layer = nn.TransformerEncoderLayer(D, 4, 2 * D, dropout=0.0, batch_first=True, norm_first=True)
        self.enc = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm, self.fc = nn.LayerNorm(D), nn.Linear(D, 3)

    def forward(self, x):
        pad = x == 0
        h = self.enc(self.emb(x) + self.pos.weight, src_key_padding_mask=pad)
        h = self.norm(h).masked_fill(pad[..., None], 0.0)
        return self.fc(h.sum(1) / (~pad).sum(1, keepdim=True))


train_x, train_y = dataset(3200)
val_x, val_y = dataset(500)
model = BracketNet()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
scaler = torch.amp.GradScaler("cpu", init_scale=2.0 ** 14)
max_norm = 1.0

step = 0
for epoch in range(2):
    for idx in torch.randperm(len(train_x)).split(32):
        with torch.autocast("cpu", dtype=torch.float16):
            logits = model(train_x[idx])
            loss = F.cross_entropy(logits.float(), train_y[idx])
        optimizer.zero_grad(set_to_none=True)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        scaler.step(optimizer)
        scaler.update()
        step += 1
        if step % 50 == 0:
            print(f"epoch {epoch} step {step} loss {loss.item():.4f} scale {scaler.get_scale():.0f}")
    model.eval()
    with torch.no_grad():
        out = model(val_x)
    model.train()
    print(f"epoch {epoch} val loss {F.cross_entropy(out, val_y):.4f} val acc {(out.argmax(1) == val_y).float().mean():.4f}")
