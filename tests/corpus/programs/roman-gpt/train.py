"""Tiny GPT on roman numerals, flat script."""
import torch
import torch.nn as nn
from torch.nn import functional as F

batch_size = 32
block_size = 30
eval_interval = 70
eval_iters = 5
max_iters = 280
learning_rate = 3e-3
n_embd, n_head, n_layer = 48, 4, 2
seed = 1337


def roman(n):
    out = ""
    for v, s in ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I")):
        while n >= v:
            out, n = out + s, n - v
    return out


torch.manual_seed(seed)
numbers = torch.randint(1, 200, (5000,)).tolist()
text = "".join(f"{n}:{roman(n)}\n" for n in numbers)
chars = sorted(set(text))
stoi = {c: i for i, c in enumerate(chars)}
data = torch.tensor([stoi[c] for c in text])
splits = {"train": data[: int(0.9 * len(data))], "val": data[int(0.9 * len(data)):]}


def get_batch(split):
    d = splits[split]
    ix = torch.randint(len(d) - block_size, (batch_size,))
    x = torch.stack([d[i:i + block_size] for i in ix])
    y = torch.stack([d[i + 1:i + block_size + 1] for i in ix])
    return x, y


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.sa = nn.MultiheadAttention(n_embd, n_head, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.ReLU(), nn.Linear(4 * n_embd, n_embd))
        self.ln1, self.ln2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.register_buffer("mask", torch.ones(block_size, block_size, dtype=torch.bool).triu(1))

    def forward(self, x):
        T = x.size(1)
        h = self.ln1(x)
        x = x + self.sa(h, h, h, attn_mask=self.mask[:T, :T], need_weights=False)[0]
        return x + self.ff(self.ln2(x))


class RomanGPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(len(chars), n_embd), nn.Embedding(block_size, n_embd)
        self.blocks = nn.Sequential(*[Block() for _ in range(n_layer)])
        self.ln_f, self.lm_head = nn.LayerNorm(n_embd), nn.Linear(n_embd, len(chars))

    def forward(self, idx, targets=None):
        x = self.blocks(self.tok(idx) + self.pos(torch.arange(idx.size(1))))
        logits = self.lm_head(self.ln_f(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, len(chars)), targets.view(-1))


@torch.no_grad()
def estimate_loss():
    out = {}
    model.eval()
    for split in splits:
        out[split] = torch.tensor([model(*get_batch(split))[1].item() for _ in range(eval_iters)]).mean().item()
    model.train()
    return out


model = RomanGPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate)
for it in range(max_iters + 1):
    if it % eval_interval == 0:
        e = estimate_loss()
        print(f"step {it}: train loss {e['train']:.4f}, val loss {e['val']:.4f}")
    xb, yb = get_batch("train")
    _, loss = model(xb, yb)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()

model.eval()
right = 0
for n in range(100, 150):
    want = roman(n) + "\n"
    idx = torch.tensor([[stoi[c] for c in f"12:XII\n{n}:"]])
    for _ in want:
        with torch.no_grad():
            idx = torch.cat([idx, model(idx)[0][:, -1:].argmax(-1)], 1)
    right += "".join(chars[i] for i in idx[0, -len(want):]) == want
print(f"{right}/50 numbers spelled right")
