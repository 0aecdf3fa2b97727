"""Encoder classifier: which of three signals dominates a variable-length message?"""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

PAD, N_CLASS, VOCAB, MAX_LEN = 0, 3, 20, 56


def make_messages(n, seed):
    r = random.Random(seed)
    data = []
    for _ in range(n):
        length = r.randint(6, 40)
        y = r.randrange(N_CLASS)
        w = [1.0] * N_CLASS
        w[y] = 3.0
        toks = [r.choices([1, 2, 3], w)[0] if r.random() < 0.6 else r.randint(4, VOCAB - 1) for _ in range(length)]
        counts = [toks.count(c) for c in (1, 2, 3)]
        if counts.count(max(counts)) == 1:
            data.append((torch.tensor(toks), counts.index(max(counts))))
    return data


def bucketed(data, bs, rng):
    """batches of similar length, in random order"""
    data = sorted(data, key=lambda t: len(t[0]))
    groups = [data[i:i + bs] for i in range(0, len(data), bs)]
    rng.shuffle(groups)
    for grp in groups:
        yield pad_sequence([t for t, _ in grp], batch_first=True, padding_value=PAD), torch.tensor([y for _, y in grp])


def collate_fixed(data):
    x = torch.full((len(data), MAX_LEN), PAD)
    for i, (t, _) in enumerate(data):
        x[i, :len(t)] = t
    return x, torch.tensor([y for _, y in data])


class Classifier(nn.Module):
    def __init__(self, d=48, heads=4, layers=2):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, d, padding_idx=PAD)
        self.pos = nn.Embedding(MAX_LEN, d)
        layer = nn.TransformerEncoderLayer(d, heads, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(d)
        self.fc = nn.Linear(d, N_CLASS)

    def forward(self, x):
        keep = x.ne(PAD)
        h = self.tok(x) + self.pos(torch.arange(x.size(1)))
        h = self.encoder(h, src_key_padding_mask=~keep)
        h = self.norm(h) * keep.unsqueeze(-1)
        return self.fc(h.sum(1) / keep.sum(1, keepdim=True))


def main():
    torch.manual_seed(21)
    rng = random.Random(21)
    train, test = make_messages(2200, 0), make_messages(500, 1)
    model = Classifier()
    opt = torch.optim.AdamW(model.parameters(), lr=1.5e-3)
    tx, ty = collate_fixed(test)
    for epoch in range(1, 8):
        model.train()
        seen = right = 0
        for x, y in bucketed(train, 32, rng):
            logits = model(x)
            loss = F.cross_entropy(logits, y)
            opt.zero_grad()
            loss.backward()
            opt.step()
            right += (logits.argmax(-1) == y).sum().item()
            seen += len(y)
        model.eval()
        with torch.no_grad():
            logits = model(tx)
        print(f"epoch {epoch}: train acc {right / seen:.3f}, test acc {(logits.argmax(-1) == ty).float().mean():.3f}, test loss {F.cross_entropy(logits, ty):.3f}")


main()
