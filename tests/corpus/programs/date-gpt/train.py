"""Character GPT on date normalisation lines of different length, one line per row."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(2024)
random.seed(2024)

MONTHS = ["jan", "feb", "mar", "apr", "may", "june", "july", "aug", "sept", "oct", "nov", "dec"]
ROW = 48
D, HEADS, LAYERS, BS, STEPS = 48, 4, 2, 32, 320


def line():
    d, m, y = random.randint(1, 28), random.randint(1, 12), random.randint(0, 99)
    return f"{d} {MONTHS[m - 1]} {y:02d}={y:02d}{m:02d}{d:02d}$"


lines = list(dict.fromkeys(line() for _ in range(3200)))
chars = ["_"] + sorted(set("".join(lines)))
stoi = {c: i for i, c in enumerate(chars)}
PAD = stoi["_"]
table = torch.full((len(lines), ROW), PAD)
for r, s in enumerate(lines):
    table[r, :len(s)] = torch.tensor([stoi[c] for c in s])
train_rows, val_rows = table[:-300], table[-300:]


class DateGPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(len(chars), D), nn.Embedding(ROW, D)
        layer = nn.TransformerEncoderLayer(D, HEADS, 4 * D, 0.0, "gelu", batch_first=True, norm_first=True)
        self.blocks = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.ln, self.head = nn.LayerNorm(D), nn.Linear(D, len(chars))

    def forward(self, idx):
        T = idx.size(1)
        causal = torch.triu(torch.full((T, T), float("-inf")), diagonal=1)
        h = self.blocks(self.tok(idx) + self.pos(torch.arange(T)), mask=causal)
        return self.head(self.ln(h))


def loss_on(model, rows):
    logits = model(rows[:, :-1])
    return F.cross_entropy(logits.reshape(-1, len(chars)), rows[:, 1:].reshape(-1), ignore_index=PAD)


model = DateGPT()
opt = torch.optim.AdamW(model.parameters(), lr=4e-3)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
for step in range(1, STEPS + 1):
    rows = train_rows[torch.randint(len(train_rows), (BS,))]
    loss = loss_on(model, rows)
    opt.zero_grad()
    loss.backward()
    opt.step()
    sched.step()
    if step % 64 == 0:
        model.eval()
        with torch.no_grad():
            v = loss_on(model, val_rows)
        model.train()
        print(f"{step:5d} train {loss.item():.4f} val {v.item():.4f} val ppl {v.exp().item():.3f}")

model.eval()
good = 0
for s in [line() for _ in range(60)]:
    left, right = s.split("=")
    ids = torch.tensor([[stoi[c] for c in left + "="]])
    for _ in range(6):
        with torch.no_grad():
            ids = torch.cat([ids, model(ids)[:, -1:].argmax(-1)], 1)
    good += "".join(chars[i] for i in ids[0, -6:]) == right[:-1]
print(f"dates converted: {good}/60")
