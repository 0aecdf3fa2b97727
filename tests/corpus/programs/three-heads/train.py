"""Language model with three prediction heads (next, second next and third next token)."""
import argparse

import torch
import torch.nn as nn
import torch.nn.functional as F

VOCAB = 48


def melodies(n, length, seed):
    # tones follow one of four scales, the scale is visible from the first two tones
    g = torch.Generator().manual_seed(seed)
    scale = torch.tensor([[1, 2, 3], [2, 2, 5], [3, 1, 4], [7, 1, 1]])
    kind = torch.randint(4, (n,), generator=g)
    x = torch.zeros(n, length, dtype=torch.long)
    x[:, 0] = torch.randint(VOCAB, (n,), generator=g)
    for t in range(1, length):
        x[:, t] = (x[:, t - 1] + scale[kind, (t - 1) % 3]) % VOCAB
        stray = torch.rand(n, generator=g) < 0.08
        x[:, t] = torch.where(stray, torch.randint(VOCAB, (n,), generator=g), x[:, t])
    return x


class MultiHeadLM(nn.Module):
    def __init__(self, width=64, heads=3):
        super().__init__()
        self.emb = nn.Embedding(VOCAB, width)
        self.trunk = nn.GRU(width, width, batch_first=True)
        self.heads = nn.ModuleList(nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, VOCAB)) for _ in range(heads))

    def forward(self, x):
        h, _ = self.trunk(self.emb(x))
        return [head(h) for head in self.heads]


def losses(model, seq):
    """head k looks k+1 tokens ahead"""
    outs = model(seq[:, :-1])
    res = []
    for k, logits in enumerate(outs):
        target = seq[:, 1 + k:]
        logits = logits[:, : target.size(1)]
        res.append(F.cross_entropy(logits.reshape(-1, VOCAB), target.reshape(-1)))
    return res


def main():
    ap = argparse.ArgumentParser()
    ap.add_argument("--weights", type=float, nargs=3, default=[1.0, 0.5, 0.25])
    ap.add_argument("--iters", type=int, default=500)
    ap.add_argument("--bs", type=int, default=40)
    a = ap.parse_args()
    torch.manual_seed(23)
    train, val = melodies(6000, 25, 0), melodies(400, 25, 1)
    model = MultiHeadLM(heads=len(a.weights))
    opt = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for it in range(1, a.iters + 1):
        parts = losses(model, train[torch.randint(len(train), (a.bs,))])
        total = sum(w * l for w, l in zip(a.weights, parts))
        opt.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        if it % 100 == 0:
            with torch.no_grad():
                v = [f"{l.item():.3f}" for l in losses(model, val)]
                acc = (model(val[:, :-1])[0][:, 4:].argmax(-1) == val[:, 5:]).float().mean()
            print(f"it={it} train={[round(p.item(), 3) for p in parts]} val(+1,+2,+3)={v} next-token acc={acc:.3f}")


if __name__ == "__main__":
    main()
