"""Next-symbol prediction on a noisy grammar with a GRU (linear warm-up, linear decay)."""
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB, SEQ, BATCH, EPOCHS = 20, 24, 32, 8


def markov(n, seed):
    trans = torch.randn(VOCAB, VOCAB, VOCAB, generator=torch.Generator().manual_seed(50)) * 2.2
    probs = trans.softmax(-1)
    g = torch.Generator().manual_seed(seed)
    seq = torch.randint(0, VOCAB, (n, 2), generator=g)
    for _ in range(SEQ - 1):
        p = probs[seq[:, -2], seq[:, -1]]
        seq = torch.cat([seq, torch.multinomial(p, 1, generator=g)], 1)
    return seq


class SymbolGRU(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, d)
        self.gru = nn.GRU(d, 96, batch_first=True)
        self.out = nn.Linear(96, VOCAB)

    def forward(self, x):
        return self.out(self.gru(self.emb(x))[0])


def nll(model, seq):
    logits = model(seq[:, :-1])
    return F.cross_entropy(logits.flatten(0, 1), seq[:, 1:].flatten())


torch.manual_seed(5)
train, val = markov(1600, 1), markov(300, 2)
model = SymbolGRU()
optimizer = torch.optim.Adam(model.parameters(), lr=6e-3)
train_batches = train.split(BATCH)
total_steps = len(train_batches) * EPOCHS
warmup = 10


def schedule(step):
    if step < warmup:
        return (step + 1) / warmup
    return max(0.0, (total_steps - step) / (total_steps - warmup))


scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
for epoch in range(EPOCHS):
    model.train()
    train = train[torch.randperm(len(train))]
    mean = 0.0
    for chunk in train.split(BATCH):
        loss = nll(model, chunk)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        mean += loss.item() / len(train_batches)
    model.eval()
    with torch.no_grad():
        v = nll(model, val).item()
    print(f"epoch {epoch + 1} train nll {mean:.3f} val nll {v:.3f} val ppl {math.exp(v):.3f}")
