"""GRU encoder-decoder that rewrites a short command into its expansion."""
import itertools
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

SOS = 0
WORDS = ["<s>", "jump", "walk", "look", "run", "dig", "hop", "twice", "thrice", "left", "right", "and", "after"]
ACTS = ["<s>", "J", "W", "K", "R", "D", "H", "L", "T", "."]
ACT_OF = {"jump": "J", "walk": "W", "look": "K", "run": "R", "dig": "D", "hop": "H"}
OUT_LEN = 9


def clause(verb, side, times):
    turn = "L" if side == "left" else "T"
    return [verb, side, times], [turn] + [ACT_OF[verb]] * (2 if times == "twice" else 3)


def commands():
    parts = [clause(*c) for c in itertools.product(ACT_OF, ["left", "right"], ["twice", "thrice"])]
    for (a, x), (b, y), link in itertools.product(parts, parts, ["and", "after"]):
        tgt = x + y if link == "and" else y + x
        tgt = tgt + ["."] * (OUT_LEN - len(tgt))
        yield [WORDS.index(w) for w in a + [link] + b], [ACTS.index(t) for t in tgt]


def splits(n_dev, seed):
    pairs = list(commands())
    random.Random(seed).shuffle(pairs)
    for part in (pairs[n_dev:], pairs[:n_dev]):
        yield torch.tensor([s for s, _ in part]), torch.tensor([t for _, t in part])


class Encoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(len(WORDS), hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)

    def forward(self, src):
        _, hidden = self.gru(self.embedding(src))
        return hidden


class Decoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.embedding = nn.Embedding(len(ACTS), hidden)
        self.gru = nn.GRU(hidden, hidden, batch_first=True)
        self.out = nn.Linear(hidden, len(ACTS))

    def forward(self, hidden, target=None):
        token = torch.full((hidden.size(1), 1), SOS)
        outputs = []
        for t in range(OUT_LEN):
            o, hidden = self.gru(self.embedding(token), hidden)
            logits = self.out(o[:, 0])
            outputs.append(logits)
            token = logits.argmax(-1, keepdim=True) if target is None else target[:, t:t + 1]
        return torch.stack(outputs, 1)


def train_epoch(data, encoder, decoder, optimizers, batch_size=40):
    src, tgt = data
    total = 0.0
    for idx in torch.randperm(len(src)).split(batch_size):
        logits = decoder(encoder(src[idx]), tgt[idx])
        loss = F.cross_entropy(logits.flatten(0, 1), tgt[idx].flatten())
        for o in optimizers:
            o.zero_grad()
        loss.backward()
        for o in optimizers:
            o.step()
        total += loss.item() * len(idx)
    return total / len(src)


if __name__ == "__main__":
    torch.manual_seed(10)
    train, dev = splits(150, 0)
    encoder, decoder = Encoder(48), Decoder(48)
    optimizers = [torch.optim.Adam(m.parameters(), lr=3e-3) for m in (encoder, decoder)]
    for epoch in range(1, 31):
        loss = train_epoch(train, encoder, decoder, optimizers)
        if epoch % 3:
            continue
        with torch.no_grad():
            pred = decoder(encoder(dev[0])).argmax(-1)
        exact = (pred == dev[1]).all(1).float().mean().item()
        print(f"{epoch:2d}  loss {loss:.4f}  dev exact {exact:.3f}  dev token {(pred == dev[1]).float().mean():.3f}")
