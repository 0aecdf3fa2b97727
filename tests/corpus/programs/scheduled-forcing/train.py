"""GRU seq2seq with Bahdanau attention and scheduled teacher forcing: infix to postfix."""
import random

import torch
import torch.nn as nn
import torch.nn.functional as F

TOKENS = ["<s>", "+", "*"] + list("0123456789")
LEN = 7


def infix(r):
    """a o b o c o d without brackets, * binds stronger"""
    toks = [str(r.randint(0, 9))]
    for _ in range(3):
        toks += [r.choice("+*"), str(r.randint(0, 9))]
    out, ops = [], []
    for t in toks:
        if t in "+*":
            while ops and (ops[-1] == "*" or t == "+"):
                out.append(ops.pop())
            ops.append(t)
        else:
            out.append(t)
    return [TOKENS.index(t) for t in toks], [TOKENS.index(t) for t in out + ops[::-1]]


def split(n, seed):
    r = random.Random(seed)
    z = [infix(r) for _ in range(n)]
    return torch.tensor([a for a, _ in z]), torch.tensor([b for _, b in z])


class Seq2Seq(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.emb = nn.Embedding(len(TOKENS), d)
        self.enc = nn.GRU(d, d, batch_first=True, bidirectional=True)
        self.bridge = nn.Linear(2 * d, d)
        self.cell = nn.GRUCell(3 * d, d)
        self.wq, self.wk, self.score = nn.Linear(d, d), nn.Linear(2 * d, d), nn.Linear(d, 1)
        self.out = nn.Linear(3 * d, len(TOKENS))

    def forward(self, src, tgt=None, tf_ratio=0.0):
        mem, last = self.enc(self.emb(src))
        h = torch.tanh(self.bridge(torch.cat([last[0], last[1]], -1)))
        keys = self.wk(mem)
        tok = torch.zeros(len(src), dtype=torch.long)
        logits = []
        for t in range(LEN):
            a = self.score(torch.tanh(keys + self.wq(h).unsqueeze(1))).softmax(1)
            ctx = (a * mem).sum(1)
            h = self.cell(torch.cat([self.emb(tok), ctx], -1), h)
            step = self.out(torch.cat([h, ctx], -1))
            logits.append(step)
            tok = tgt[:, t] if tgt is not None and random.random() < tf_ratio else step.argmax(-1)
        return torch.stack(logits, 1)


class Trainer:
    def __init__(self, epochs=8, bs=64):
        random.seed(1)
        torch.manual_seed(1)
        self.model, self.epochs, self.bs = Seq2Seq(), epochs, bs
        self.opt = torch.optim.Adam(self.model.parameters(), lr=3e-3)
        self.train, self.dev = split(4000, 0), split(300, 1)

    def fit(self):
        src, tgt = self.train
        for ep in range(self.epochs):
            ratio = max(0.5, 1.0 - 0.1 * ep)
            self.model.train()
            tot = 0.0
            for i in torch.randperm(len(src)).split(self.bs):
                loss = F.cross_entropy(self.model(src[i], tgt[i], ratio).flatten(0, 1), tgt[i].flatten())
                self.opt.zero_grad()
                loss.backward()
                nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.opt.step()
                tot += loss.item() * len(i)
            self.model.eval()
            with torch.no_grad():
                free = self.model(self.dev[0])
            dev = F.cross_entropy(free.flatten(0, 1), self.dev[1].flatten()).item()
            exact = (free.argmax(-1) == self.dev[1]).all(1).float().mean().item()
            print(f"ep {ep + 1} tf {ratio:.1f} train {tot / len(src):.4f} free-running dev {dev:.4f} exact {exact:.3f}")


Trainer().fit()
