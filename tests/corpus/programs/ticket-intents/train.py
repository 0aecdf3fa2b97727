"""Intent classifier for support tickets: bag of embeddings + self-attention."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, random_split

INTENTS = ["refund", "delivery", "login", "invoice", "cancel"]
VOCAB, LENGTH = 400, 12


def ticket(rng):
    """intent words are weakly informative; the rest is chatter"""
    y = rng.randrange(len(INTENTS))
    words = [rng.randrange(VOCAB) for _ in range(LENGTH)]
    for i in range(2):
        if rng.random() < 0.45:
            words[rng.randrange(LENGTH)] = 10 * y + rng.randrange(10)
    return words, y


def paraphrase(words, rng):
    words = list(words)
    for _ in range(2):
        words[rng.randrange(LENGTH)] = rng.randrange(VOCAB)
    i = rng.randrange(LENGTH - 1)
    words[i], words[i + 1] = words[i + 1], words[i]
    return words


def load_tickets(n, variants, seed):
    rng = random.Random(seed)
    xs, ys = [], []
    for _ in range(n):
        words, y = ticket(rng)
        for _ in range(variants):
            xs.append(paraphrase(words, rng))
            ys.append(y)
    return TensorDataset(torch.tensor(xs), torch.tensor(ys))


class IntentNet(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, d)
        self.attn = nn.MultiheadAttention(d, 4, batch_first=True)
        self.norm = nn.LayerNorm(d)
        self.head = nn.Sequential(nn.Linear(d, 128), nn.ReLU(), nn.Linear(128, len(INTENTS)))

    def forward(self, x):
        e = self.emb(x)
        h = self.norm(e + self.attn(e, e, e, need_weights=False)[0])
        return self.head(h.mean(1))


@torch.no_grad()
def evaluate(model, data):
    model.eval()
    loss = hit = n = 0
    for x, y in DataLoader(data, batch_size=256):
        out = model(x)
        loss += F.cross_entropy(out, y, reduction="sum").item()
        hit += (out.argmax(1) == y).sum().item()
        n += len(y)
    return loss / n, hit / n


def main():
    torch.manual_seed(20)
    data = load_tickets(350, variants=8, seed=1)
    n_val = 70 * 8
    train_set, val_set = torch.utils.data.Subset(data, range(n_val, len(data))), torch.utils.data.Subset(data, range(n_val))
    model = IntentNet()
    opt = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    for epoch in range(1, 17):
        model.train()
        for x, y in DataLoader(train_set, batch_size=32, shuffle=True):
            loss = F.cross_entropy(model(x), y)
            opt.zero_grad()
            loss.backward()
            opt.step()
        if epoch % 2 == 0:
            (tl, ta), (vl, va) = evaluate(model, train_set), evaluate(model, val_set)
            print(f"epoch {epoch:2d} | train {tl:.3f} / {ta:.3f} | val {vl:.3f} / {va:.3f}")
    # tickets that came in this week
    wl, wa = evaluate(model, load_tickets(400, variants=1, seed=77))
    print(f"new tickets: loss {wl:.3f} accuracy {wa:.3f}")


main()
