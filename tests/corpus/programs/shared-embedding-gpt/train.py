"""GPT with shared input/output embedding, trained on lagged modular sequences."""
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F


@dataclass
class ModelArgs:
    vocab: int = 64
    ctx: int = 24
    dim: int = 24
    heads: int = 4
    depth: int = 2
    tie_weights: bool = True


class SelfAttention(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.heads = a.heads
        self.c_attn, self.c_proj = nn.Linear(a.dim, 3 * a.dim), nn.Linear(a.dim, a.dim)

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = [t.view(B, T, self.heads, -1).transpose(1, 2) for t in self.c_attn(x).chunk(3, -1)]
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.c_proj(y.transpose(1, 2).reshape(B, T, C))


class Layer(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.ln_1, self.ln_2, self.attn = nn.LayerNorm(a.dim), nn.LayerNorm(a.dim), SelfAttention(a)
        self.c_fc, self.c_out = nn.Linear(a.dim, 4 * a.dim), nn.Linear(4 * a.dim, a.dim)

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.c_out(F.gelu(self.c_fc(self.ln_2(x))))


class LM(nn.Module):
    def __init__(self, a):
        super().__init__()
        self.a = a
        self.wte, self.wpe = nn.Embedding(a.vocab, a.dim), nn.Embedding(a.ctx, a.dim)
        self.h = nn.ModuleList(Layer(a) for _ in range(a.depth))
        self.ln_f = nn.LayerNorm(a.dim)
        self.lm_head = nn.Linear(a.dim, a.vocab, bias=False)
        self.apply(self._init_weights)
        if a.tie_weights:
            self.lm_head.weight = self.wte.weight

    def _init_weights(self, m):
        if isinstance(m, (nn.Linear, nn.Embedding)):
            nn.init.normal_(m.weight, std=0.02)
        if isinstance(m, nn.Linear) and m.bias is not None:
            nn.init.zeros_(m.bias)

    def forward(self, idx, targets=None):
        x = self.wte(idx) + self.wpe.weight[:idx.size(1)]
        for layer in self.h:
            x = layer(x)
        logits = self.lm_head(self.ln_f(x))
        return logits if targets is None else F.cross_entropy(logits.transpose(1, 2), targets)

    def configure_optimizers(self, lr, weight_decay):
        params = dict(self.named_parameters())
        if self.a.tie_weights:
            params.pop("lm_head.weight", None)  # shared with wte
        decay = [p for p in params.values() if p.dim() >= 2]
        rest = [p for p in params.values() if p.dim() < 2]
        print(f"decayed tensors {len(decay)}, other tensors {len(rest)}")
        return torch.optim.AdamW([{"params": decay, "weight_decay": weight_decay}, {"params": rest, "weight_decay": 0.0}], lr=lr, betas=(0.9, 0.95))


def rows(n, a, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(a.vocab, (n, a.ctx + 1), generator=g)
    for t in range(3, a.ctx + 1):
        x[:, t] = (x[:, t - 1] + 3 * (x[:, t - 3] // 16)) % a.vocab
    return x


if __name__ == "__main__":
    torch.manual_seed(1234)
    args, iters, warm, lr = ModelArgs(), 600, 40, 4e-3
    train, val = rows(8000, args, 0), rows(400, args, 1)
    model = LM(args)
    opt = model.configure_optimizers(lr, 0.05)
    for it in range(iters + 1):
        for grp in opt.param_groups:
            grp["lr"] = lr * min(1.0, (it + 1) / warm) * (0.55 + 0.45 * math.cos(math.pi * it / iters))
        if it % 100 == 0:
            with torch.no_grad():
                print(f"iter {it:4d}  val loss {model(val[:, :-1], val[:, 1:]).item():.4f}")
        b = train[torch.randint(len(train), (32,))]
        loss = model(b[:, :-1], b[:, 1:])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
    with torch.no_grad():
        print(f"next-token accuracy {(model(val[:, :-1])[:, 2:].argmax(-1) == val[:, 3:]).float().mean():.4f}")
