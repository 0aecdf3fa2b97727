"""Universal transformer with per-token adaptive depth, marked-token retrieval task."""
import torch
import torch.nn as nn
import torch.nn.functional as F

SEQ, VOCAB, DIM, MAX_HOPS = 12, 18, 48, 6


def sample(n, g):
    """every token outputs itself except marked ones (id 0), which output the token to their left, through chains of marks"""
    x = torch.randint(2, VOCAB, (n, SEQ), generator=g)
    x[torch.rand(n, SEQ, generator=g) < 0.2] = 0
    x[:, 0] = torch.randint(2, VOCAB, (n,), generator=g)
    y = x.clone()
    for t in range(1, SEQ):
        y[:, t] = torch.where(x[:, t] == 0, y[:, t - 1], x[:, t])
    return x, y


class SharedBlock(nn.Module):
    def __init__(self):
        super().__init__()
        self.attn = nn.MultiheadAttention(DIM, 4, batch_first=True)
        self.ff = nn.Sequential(nn.Linear(DIM, 2 * DIM), nn.GELU(), nn.Linear(2 * DIM, DIM))
        self.n1, self.n2 = nn.LayerNorm(DIM), nn.LayerNorm(DIM)

    def forward(self, x):
        z = self.n1(x)
        x = x + self.attn(z, z, z, need_weights=False)[0]
        return x + self.ff(self.n2(x))


class AdaptiveUT(nn.Module):
    def __init__(self, threshold=0.95, act_weight=0.03):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, DIM)
        self.pos = nn.Parameter(torch.randn(SEQ, DIM) * 0.3)
        self.hop = nn.Parameter(torch.randn(MAX_HOPS, DIM) * 0.1)
        self.block = SharedBlock()
        self.p = nn.Linear(DIM, 1)
        self.out = nn.Linear(DIM, VOCAB)
        self.threshold, self.act_weight = threshold, act_weight

    def forward(self, x):
        state = self.tok(x) + self.pos
        survive = torch.ones(x.shape)
        active = torch.ones(x.shape)
        mixed = torch.zeros_like(state)
        hops = torch.zeros(x.shape)
        for n in range(MAX_HOPS):
            state = self.block(state + self.hop[n])
            q = torch.sigmoid(self.p(state)).squeeze(-1)
            done = 1 - survive * (1 - q)
            finish = active * ((done > self.threshold) | (n == MAX_HOPS - 1)).float()
            w = active * survive * q * (1 - finish) + finish * survive
            mixed = mixed + w.unsqueeze(-1) * state
            hops = hops + active + finish * survive
            survive = torch.where(active > 0, survive * (1 - q), survive)
            active = active - finish
        return self.out(mixed), hops

    def objective(self, x, y):
        logits, hops = self(x)
        return F.cross_entropy(logits.transpose(1, 2), y) + self.act_weight * hops.mean(), hops


def main():
    torch.manual_seed(9)
    g = torch.Generator().manual_seed(9)
    model = AdaptiveUT()
    opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
    vx, vy = sample(300, torch.Generator().manual_seed(123))
    for step in range(1, 361):
        x, y = sample(32, g)
        loss, hops = model.objective(x, y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        if step % 90 == 0:
            model.eval()
            with torch.no_grad():
                logits, h = model(vx)
            model.train()
            acc = (logits.argmax(-1) == vy).float()
            print(f"step {step}: loss {loss.item():.4f}, acc all {acc.mean():.3f} marked {acc[vx == 0].mean():.3f}, hops plain {h[vx != 0].mean():.2f} marked {h[vx == 0].mean():.2f}")


if __name__ == "__main__":
    main()
