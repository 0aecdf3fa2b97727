"""LSTM language model on one long stream, truncated back-propagation through time."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(3)
BPTT, BATCH, HIDDEN, EPOCHS = 20, 16, 80, 5


def stream(n_sections, seed):
    # each section announces a letter, uses only that letter's words, then closes with it
    r = random.Random(seed)
    out = []
    for _ in range(n_sections):
        k = r.choice("abc")
        out.append(f"[{k}]")
        for _ in range(r.randint(2, 5)):
            out.append(" " + "".join(r.choice({"a": "xy", "b": "yz", "c": "zx"}[k]) for _ in range(2)))
        out.append(f" /{k}\n")
    return "".join(out)


def batchify(ids, bsz):
    n = len(ids) // bsz
    return ids[: n * bsz].view(bsz, n)


class StreamLM(nn.Module):
    def __init__(self, v):
        super().__init__()
        self.emb, self.rnn, self.dec = nn.Embedding(v, HIDDEN), nn.LSTM(HIDDEN, HIDDEN, batch_first=True), nn.Linear(HIDDEN, v)

    def forward(self, x, state):
        o, state = self.rnn(self.emb(x), state)
        return self.dec(o), state

    def init_state(self, b):
        return torch.zeros(1, b, HIDDEN), torch.zeros(1, b, HIDDEN)


def windows(data):
    for i in range(0, data.size(1) - 1, BPTT):
        n = min(BPTT, data.size(1) - 1 - i)
        yield data[:, i:i + n], data[:, i + 1:i + n + 1]


@torch.no_grad()
def evaluate(model, data):
    model.eval()
    state, total, count = model.init_state(data.size(0)), 0.0, 0
    for x, y in windows(data):
        out, state = model(x, state)
        total += F.cross_entropy(out.transpose(1, 2), y, reduction="sum").item()
        count += y.numel()
    model.train()
    return total / count


text, held = stream(2000, 0), stream(150, 1)
chars = sorted(set(text))
index = {c: i for i, c in enumerate(chars)}
train = batchify(torch.tensor([index[c] for c in text]), BATCH)
val = batchify(torch.tensor([index[c] for c in held]), 4)
model = StreamLM(len(chars))
opt = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(1, EPOCHS + 1):
    state, total, n = model.init_state(BATCH), 0.0, 0
    for x, y in windows(train):
        state = tuple(s.detach() for s in state)
        out, state = model(x, state)
        loss = F.cross_entropy(out.transpose(1, 2), y)
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        opt.step()
        total, n = total + loss.item(), n + 1
    v = evaluate(model, val)
    print(f"| epoch {epoch} | train {total / n:.3f} | valid {v:.3f} | valid ppl {2.718281828 ** v:.2f}")
