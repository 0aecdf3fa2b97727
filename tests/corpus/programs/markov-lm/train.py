import math
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1337)
V, T, D, B = 32, 24, 48, 32

trans = torch.softmax(torch.randn(V, V) * 2.0, dim=-1)


def sample_stream(n):
    out = [0]
    for _ in range(n - 1):
        out.append(torch.multinomial(trans[out[-1]], 1).item())
    return torch.tensor(out)


data = sample_stream(20000)
train_data, val_data = data[:18000], data[18000:]


def get_batch(split):
    src = train_data if split == "train" else val_data
    ix = torch.randint(len(src) - T - 1, (B,))
    x = torch.stack([src[i:i + T] for i in ix])
    y = torch.stack([src[i + 1:i + T + 1] for i in ix])
    return x, y


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.attn = nn.MultiheadAttention(D, 4, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(D, 4 * D), nn.GELU(), nn.Linear(4 * D, D))

    def forward(self, x):
        h = self.ln1(x)
        mask = torch.ones(h.size(1), h.size(1), dtype=torch.bool).triu(1)
        a, _ = self.attn(h, h, h, attn_mask=mask, need_weights=False)
        x = x + a
        return x + self.mlp(self.ln2(x))


class TinyLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, D), nn.Embedding(T, D)
        self.blocks = nn.ModuleList([Block() for _ in range(2)])
        self.ln, self.head = nn.LayerNorm(D), nn.Linear(D, V)

    def forward(self, idx):
        x = self.tok(idx) + self.pos(torch.arange(idx.size(1)))
        for b in self.blocks:
            x = b(x)
        return self.head(self.ln(x))


model = TinyLM()
opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
print("uniform loss", math.log(V))
for step in range(301):
    x, y = get_batch("train")
    loss = F.cross_entropy(model(x).view(-1, V), y.view(-1))
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    if step % 50 == 0:
        model.eval()
        with torch.no_grad():
            x, y = get_batch("val")
            v = F.cross_entropy(model(x).view(-1, V), y.view(-1))
        model.train()
        print(f"step {step} train {loss.item():.4f} val {v.item():.4f}")
