"""Seq2seq with Bahdanau attention: reverse a digit string."""
import torch
import torch.nn as nn
import torch.nn.functional as F

PAD, BOS, EOS = 0, 1, 2
V = 13


def batch(n, g):
    lens = torch.randint(3, 8, (n,), generator=g)
    src = torch.full((n, 7), PAD)
    tgt = torch.full((n, 9), PAD)
    for i, L in enumerate(lens.tolist()):
        s = torch.randint(3, V, (L,), generator=g)
        src[i, :L] = s
        tgt[i, 0] = BOS
        tgt[i, 1:L + 1] = s.flip(0)
        tgt[i, L + 1] = EOS
    return src, tgt


class Seq2Seq(nn.Module):
    def __init__(self, d=64):
        super().__init__()
        self.semb = nn.Embedding(V, d, padding_idx=PAD)
        self.temb = nn.Embedding(V, d, padding_idx=PAD)
        self.enc = nn.GRU(d, d, batch_first=True)
        self.dec = nn.GRUCell(2 * d, d)
        self.wq, self.wk, self.v = nn.Linear(d, d), nn.Linear(d, d, bias=False), nn.Linear(d, 1, bias=False)
        self.out = nn.Linear(2 * d, V)

    def forward(self, src, tgt_in, tf_ratio=1.0):
        mask = src == PAD
        mem, h = self.enc(self.semb(src))
        h = h[0]
        keys = self.wk(mem)
        logits, tok = [], tgt_in[:, 0]
        for t in range(tgt_in.size(1)):
            score = self.v(torch.tanh(self.wq(h)[:, None] + keys)).squeeze(-1)
            w = score.masked_fill(mask, -1e9).softmax(-1)
            ctx = (w[..., None] * mem).sum(1)
            h = self.dec(torch.cat([self.temb(tok), ctx], -1), h)
            logits.append(self.out(torch.cat([h, ctx], -1)))
            if t + 1 < tgt_in.size(1):
                force = torch.rand(()) < tf_ratio
                tok = tgt_in[:, t + 1] if force else logits[-1].argmax(-1)
        return torch.stack(logits, 1)


torch.manual_seed(2)
g = torch.Generator().manual_seed(2)
model = Seq2Seq()
opt = torch.optim.Adam(model.parameters(), lr=4e-3)
val_src, val_tgt = batch(200, torch.Generator().manual_seed(99))
for step in range(1, 351):
    model.train()
    src, tgt = batch(64, g)
    logits = model(src, tgt[:, :-1], tf_ratio=0.9)
    loss = F.cross_entropy(logits.reshape(-1, V), tgt[:, 1:].reshape(-1), ignore_index=PAD)
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    if step % 50 == 0:
        model.eval()
        with torch.no_grad():
            pred = model(val_src, val_tgt[:, :-1], tf_ratio=0.0).argmax(-1)
        gold = val_tgt[:, 1:]
        exact = ((pred == gold) | (gold == PAD)).all(1).float().mean().item()
        print(f"step {step} loss {loss.item():.4f} val exact (free running) {exact:.3f}")
