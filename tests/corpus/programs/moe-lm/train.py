"""Character-ish causal LM with a top-2 mixture of experts and a load balancing loss, bf16 autocast."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(17)
V, T, D, E, TOPK = 20, 24, 48, 4, 2


class MoE(nn.Module):
    def __init__(self):
        super().__init__()
        self.router = nn.Linear(D, E, bias=False)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(D, 2 * D), nn.GELU(), nn.Linear(2 * D, D)) for _ in range(E))

    def forward(self, x):
        flat = x.reshape(-1, D)
        probs = self.router(flat).float().softmax(-1)
        w, idx = probs.topk(TOPK, -1)
        w = w / w.sum(-1, keepdim=True)
        out = torch.zeros_like(flat)
        for e, expert in enumerate(self.experts):
            rows, slot = torch.where(idx == e)
            if len(rows):
                out = out.index_add(0, rows, (w[rows, slot, None] * expert(flat[rows])).to(out.dtype))
        frac = F.one_hot(idx, E).float().sum(1).mean(0) / TOPK
        aux = E * (frac * probs.mean(0)).sum()
        return out.view_as(x), aux, frac


class Block(nn.Module):
    def __init__(self, heads=4):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.proj, self.moe, self.h = nn.Linear(D, 3 * D), nn.Linear(D, D), MoE(), heads

    def forward(self, x):
        B, L, _ = x.shape
        q, k, v = (t.view(B, L, self.h, -1).transpose(1, 2) for t in self.qkv(self.ln1(x)).chunk(3, -1))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(a.transpose(1, 2).reshape(B, L, D))
        m, aux, frac = self.moe(self.ln2(x))
        return x + m, aux, frac


class LM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, D), nn.Embedding(T, D)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.ln, self.head = nn.LayerNorm(D), nn.Linear(D, V, bias=False)

    def forward(self, ids):
        x = self.tok(ids) + self.pos(torch.arange(ids.size(1)))
        aux, fracs = 0.0, []
        for b in self.blocks:
            x, a, f = b(x)
            aux = aux + a
            fracs.append(f)
        return self.head(self.ln(x)), aux / len(self.blocks), fracs


trans = torch.distributions.Dirichlet(torch.full((V,), 0.05)).sample((V,))


def get_batch(n):
    ids = torch.empty(n, T + 1, dtype=torch.long)
    ids[:, 0] = torch.randint(0, V, (n,))
    for t in range(T):
        ids[:, t + 1] = torch.multinomial(trans[ids[:, t]], 1).squeeze(1)
    return ids[:, :-1], ids[:, 1:]


entropy = -(trans * trans.clamp_min(1e-12).log()).sum(1).mean().item()
print(f"mean row entropy of the source: {entropy:.3f} nats")
model = LM()
opt = torch.optim.AdamW(model.parameters(), lr=3e-3)
vx, vy = get_batch(128)
for step in range(81):
    x, y = get_batch(16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, aux, fracs = model(x)
        ce = F.cross_entropy(logits.float().reshape(-1, V), y.reshape(-1))
    loss = ce + 0.01 * aux
    opt.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    if step % 10 == 0:
        with torch.no_grad():
            vl = F.cross_entropy(model(vx)[0].reshape(-1, V), vy.reshape(-1)).item()
        print(f"step {step} ce {ce.item():.4f} aux {aux.item():.3f} val {vl:.4f} load {[round(v, 2) for v in fracs[0].tolist()]}")
