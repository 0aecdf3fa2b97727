"""Dilated convolutional language model (WaveNet flavour) over counting strings."""
import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)

SEQ, BATCH, WIDTH, EPOCHS = 40, 40, 48, 6
SYMBOLS = "0123456789,"


def counting_stream(n, seed):
    """12,15,18,21 ... two arithmetic progressions of random start and stride, wrapped at 100"""
    g = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(n):
        terms = []
        for _ in range(2):
            a = int(torch.randint(100, (1,), generator=g))
            d = int(torch.randint(1, 4, (1,), generator=g))
            terms += [f"{(a + d * k) % 100:02d}" for k in range(7)]
        s = ",".join(terms)
        rows.append([SYMBOLS.index(c) for c in s[:SEQ + 1]])
    return torch.tensor(rows)


class GatedConv(nn.Module):
    def __init__(self, c, k, dilation):
        super().__init__()
        self.pad = dilation * (k - 1)
        self.conv = nn.Conv1d(c, 2 * c, k, dilation=dilation)
        self.mix = nn.Conv1d(c, c, 1)

    def forward(self, x):
        a, b = self.conv(F.pad(x, (self.pad, 0))).chunk(2, dim=1)
        return x + self.mix(torch.tanh(a) * torch.sigmoid(b))


class ConvLM(nn.Module):
    def __init__(self, vocab=len(SYMBOLS), c=WIDTH, k=3, dilations=(1, 2, 4, 1)):
        super().__init__()
        self.embed = nn.Embedding(vocab, c)
        self.stack = nn.Sequential(*(GatedConv(c, k, d) for d in dilations))
        self.head = nn.Conv1d(c, vocab, 1)

    def forward(self, ids):
        h = self.stack(self.embed(ids).transpose(1, 2))
        return self.head(F.relu(h))  # (batch, vocab, time)


train, valid = counting_stream(1600, 1), counting_stream(200, 2)
model = ConvLM()
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)


def evaluate(rows):
    model.eval()
    with torch.no_grad():
        out = F.cross_entropy(model(rows[:, :-1]), rows[:, 1:]).item()
    model.train()
    return out


for epoch in range(1, EPOCHS + 1):
    total = 0.0
    order = torch.randperm(len(train))
    for chunk in order.split(BATCH):
        rows = train[chunk]
        loss = F.cross_entropy(model(rows[:, :-1]), rows[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(chunk)
    print(f"epoch {epoch}  nll/char {total / len(train):.3f}  valid nll/char {evaluate(valid):.3f}")

# continue a few progressions
model.eval()
correct = 0
for row in valid[:60]:
    ctx = row[None, :27]
    for _ in range(9):
        with torch.no_grad():
            ctx = torch.cat([ctx, model(ctx)[:, :, -1].argmax(1, keepdim=True)], dim=1)
    correct += torch.equal(ctx[0, 27:36], row[27:36])
print(f"continued correctly {correct}/60")
print("e.g.", "".join(SYMBOLS[i] for i in ctx[0]))
