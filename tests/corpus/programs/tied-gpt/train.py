import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(1)
V, T, D = 40, 32, 64
trans = torch.softmax(torch.randn(V, V) * 1.8, -1)
seq = [3]
for _ in range(24000):
    seq.append(torch.multinomial(trans[seq[-1]], 1).item())
data = torch.tensor(seq)
train, val = data[:21000], data[21000:]


def get(src, b=32):
    ix = torch.randint(len(src) - T - 1, (b,))
    chunk = torch.stack([src[i:i + T + 1] for i in ix])
    return chunk[:, :-1], chunk[:, 1:]


class Block(nn.Module):
    def __init__(self, d, heads=4, p=0.2):
        super().__init__()
        self.heads, self.p = heads, p
        self.n1, self.n2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.proj = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.ff = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d), nn.Dropout(p))

    def forward(self, x):
        b, t, d = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True,
                                           dropout_p=self.p if self.training else 0.0)
        x = x + self.proj(a.transpose(1, 2).reshape(b, t, d))
        return x + self.ff(self.n2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(V, D), nn.Embedding(T, D)
        self.drop = nn.Dropout(0.2)
        self.h = nn.ModuleList([Block(D) for _ in range(2)])
        self.ln_f = nn.LayerNorm(D)
        self.lm_head = nn.Linear(D, V, bias=False)
        self.lm_head.weight = self.wte.weight
        nn.init.normal_(self.wte.weight, std=0.02)
        nn.init.normal_(self.wpe.weight, std=0.02)

    def forward(self, idx, targets):
        x = self.drop(self.wte(idx) + self.wpe(torch.arange(idx.size(1))))
        for blk in self.h:
            x = blk(x)
        logits = self.lm_head(self.ln_f(x))
        return F.cross_entropy(logits.reshape(-1, V), targets.reshape(-1))


model = GPT()
opt = torch.optim.AdamW(model.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.1)
for step in range(201):
    for group in opt.param_groups:
        group["lr"] = 3e-3 * min(1.0, (step + 1) / 30)
    loss = model(*get(train))
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
    if step % 50 == 0:
        model.eval()
        with torch.no_grad():
            v = sum(model(*get(val)).item() for _ in range(5)) / 5
        model.train()
        print(f"{step}: train {loss.item():.3f} val {v:.3f}")
