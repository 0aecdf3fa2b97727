# sequence-to-sequence transformer: spell out numbers, variable source length
import random

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.nn.utils.rnn import pad_sequence

torch.manual_seed(44)
PAD, BOS, EOS = 0, 1, 2
SRC = "abcdef"          # source letters -> ids 3..8
MAP = {"a": "12", "b": "3", "c": "21", "d": "2", "e": "13", "f": "1"}   # target digits -> ids 3..5


def pair(r):
    s = [r.choice(SRC) for _ in range(r.randint(4, 7))]
    t = "".join(MAP[c] for c in reversed(s))
    return torch.tensor([3 + SRC.index(c) for c in s]), torch.tensor([BOS] + [2 + int(c) for c in t] + [EOS])


def load(n, n_val, seed):
    r = random.Random(seed)
    unique = {tuple(s.tolist()): (s, t) for s, t in (pair(r) for _ in range(n))}
    pairs = list(unique.values())
    for part in (pairs[n_val:], pairs[:n_val]):
        yield [pad_sequence(list(z), batch_first=True, padding_value=PAD) for z in zip(*part)]


class Spell(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.src, self.tgt, self.pos = nn.Embedding(9, d, PAD), nn.Embedding(6, d, PAD), nn.Embedding(20, d)
        self.net = nn.Transformer(d, 4, 1, 2, 96, 0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(d, 6)

    def encode(self, src):
        pad = src == PAD
        return self.net.encoder(self.src(src) + self.pos.weight[:src.size(1)], src_key_padding_mask=pad), pad

    def decode(self, mem, pad, tgt):
        causal = nn.Transformer.generate_square_subsequent_mask(tgt.size(1))
        y = self.tgt(tgt) + self.pos.weight[:tgt.size(1)]
        return self.out(self.net.decoder(y, mem, tgt_mask=causal, memory_key_padding_mask=pad))

    def forward(self, src, tgt):
        return self.decode(*self.encode(src), tgt)

    @torch.no_grad()
    def greedy(self, src, steps=16):
        mem, pad = self.encode(src)
        ids = torch.full((len(src), 1), BOS)
        done = torch.zeros(len(src), dtype=torch.bool)
        for _ in range(steps):
            nxt = self.decode(mem, pad, ids)[:, -1].argmax(-1).masked_fill(done, PAD)
            ids = torch.cat([ids, nxt[:, None]], 1)
            done |= nxt == EOS
        return ids


def main():
    (xs, ys), (vx, vy) = load(7000, 300, 0)
    model = Spell()
    opt = torch.optim.Adam(model.parameters(), lr=2e-3, betas=(0.9, 0.98), eps=1e-9)
    sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1.0, (s + 1) / 60))
    for epoch in range(5):
        model.train()
        for idx in torch.randperm(len(xs)).split(50):
            tgt = ys[idx]
            logits = model(xs[idx], tgt[:, :-1])
            loss = F.cross_entropy(logits.transpose(1, 2), tgt[:, 1:], ignore_index=PAD, label_smoothing=0.05)
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
            sched.step()
        model.eval()
        with torch.no_grad():
            v = F.cross_entropy(model(vx, vy[:, :-1]).transpose(1, 2), vy[:, 1:], ignore_index=PAD)
        out = model.greedy(vx, vy.size(1) - 1)
        print(f"epoch {epoch + 1}  loss {loss.item():.4f}  valid {v.item():.4f}  exact {(out == vy).all(1).float().mean().item():.3f}")


if __name__ == "__main__":
    main()
