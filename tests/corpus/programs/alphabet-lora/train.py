"""LoRA fine-tuning of a small causal language model on shifted alphabets."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(61)
V, CTX, D = 40, 16, 48


def sequences(n, stride, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(V, (n, CTX + 1), generator=g)
    for t in range(2, CTX + 1):
        nxt = (x[:, t - 1] + stride + x[:, t - 2] // 10) % V
        x[:, t] = torch.where(torch.rand(n, generator=g) < 0.1, x[:, t], nxt)
    return x


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(D), nn.LayerNorm(D)
        self.qkv, self.proj = nn.Linear(D, 3 * D), nn.Linear(D, D)
        self.fc1, self.fc2 = nn.Linear(D, 4 * D), nn.Linear(4 * D, D)

    def forward(self, x):
        b, t, _ = x.shape
        q, k, v = self.qkv(self.ln1(x)).view(b, t, 3, 4, D // 4).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, t, D))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x))))


class LM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, D), nn.Embedding(CTX, D)
        self.blocks = nn.ModuleList(Block() for _ in range(2))
        self.ln, self.head = nn.LayerNorm(D), nn.Linear(D, V)

    def forward(self, ids):
        h = self.tok(ids) + self.pos.weight[:ids.size(1)]
        for b in self.blocks:
            h = b(h)
        return self.head(self.ln(h))


class LoRA(nn.Module):
    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base = base
        self.lora_A = nn.Parameter(torch.empty(rank, base.in_features))
        self.lora_B = nn.Parameter(torch.zeros(base.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=5 ** 0.5)
        self.scaling = alpha / rank

    def forward(self, x):
        return self.base(x) + (x @ self.lora_A.t() @ self.lora_B.t()) * self.scaling


def fit(model, params, lr, train, val, steps, name):
    opt = torch.optim.AdamW(params, lr=lr, weight_decay=0.0)
    for s in range(1, steps + 1):
        b = train[torch.randint(len(train), (48,))]
        loss = F.cross_entropy(model(b[:, :-1]).transpose(1, 2), b[:, 1:])
        opt.zero_grad()
        loss.backward()
        opt.step()
        if s % (steps // 4) == 0:
            with torch.no_grad():
                v = F.cross_entropy(model(val[:, :-1]).transpose(1, 2), val[:, 1:])
            print(f"{name} {s:4d} train {loss.item():.4f} val {v.item():.4f}")


model = LM()
fit(model, model.parameters(), 3e-3, sequences(5000, 3, 0), sequences(300, 3, 1), 300, "base")

model.requires_grad_(False)
for block in model.blocks:
    for target in ("qkv", "proj", "fc1", "fc2"):
        setattr(block, target, LoRA(getattr(block, target), rank=8, alpha=16))
adapters = [p for n, p in model.named_parameters() if "lora_" in n]
print("adapter weights", sum(p.numel() for p in adapters))
fit(model, adapters, 5e-3, sequences(5000, 11, 2), sequences(300, 11, 3), 300, "lora")
