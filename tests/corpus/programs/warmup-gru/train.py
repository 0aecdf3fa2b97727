import math

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


class BracketStrings(Dataset):
    """balanced or broken strings of two bracket types"""

    def __init__(self, n, seed, length=20):
        g = torch.Generator().manual_seed(seed)
        self.x = torch.zeros(n, length, dtype=torch.long)
        self.y = torch.randint(0, 2, (n,), generator=g)
        for i in range(n):
            stack, s = [], []
            for pos in range(length):
                left = length - pos
                if stack and (len(stack) == left or torch.rand(1, generator=g) < 0.5):
                    s.append(stack.pop() + 2)
                else:
                    k = int(torch.randint(0, 2, (1,), generator=g))
                    stack.append(k)
                    s.append(k)
            if self.y[i] == 0:
                for _ in range(2):
                    p = int(torch.randint(0, length, (1,), generator=g))
                    s[p] = s[p] ^ 1
            self.x[i] = torch.tensor(s)

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.x[i], self.y[i]


class Reader(nn.Module):
    def __init__(self, d=16, h=32):
        super().__init__()
        self.emb = nn.Embedding(4, d)
        self.rnn = nn.GRU(d, h, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * h, 2)

    def forward(self, x):
        out, _ = self.rnn(self.emb(x))
        return self.fc(out.max(1).values)


torch.manual_seed(207)
EPOCHS, PEAK = 12, 1e-2
train_dl = DataLoader(BracketStrings(1200, 1), batch_size=50, shuffle=True)
val_dl = DataLoader(BracketStrings(400, 2), batch_size=200)
model = Reader()
opt = torch.optim.AdamW(model.parameters(), lr=PEAK, weight_decay=0.01)
total = EPOCHS * len(train_dl)
warm = total // 10
sched = torch.optim.lr_scheduler.LambdaLR(
    opt, lambda s: (s + 1) / warm if s < warm else 0.5 * (1 + math.cos(math.pi * (s - warm) / (total - warm))))

for epoch in range(EPOCHS):
    model.train()
    tot = 0.0
    for x, y in train_dl:
        loss = F.cross_entropy(model(x), y)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        sched.step()
        tot += loss.item()
    model.eval()
    ok = 0
    with torch.no_grad():
        for x, y in val_dl:
            ok += (model(x).argmax(1) == y).sum().item()
    print(f"epoch={epoch} lr={sched.get_last_lr()[0]:.2e} loss={tot / len(train_dl):.4f} val_acc={ok / 400:.4f}")
