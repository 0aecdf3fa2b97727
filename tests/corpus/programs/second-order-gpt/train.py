"""nanoGPT-ish model on a random second-order source."""
import math

import torch
import torch.nn as nn
from torch.nn import functional as F

torch.manual_seed(1)
vocab_size, block_size, batch_size = 8, 24, 32
n_embd, n_head, n_layer = 48, 4, 2
max_iters, eval_every, lr, min_lr, warmup = 600, 100, 3e-3, 3e-4, 40

# the source: p(next | last two symbols), drawn once
source = torch.distributions.Dirichlet(torch.full((vocab_size,), 0.6)).sample((vocab_size, vocab_size))
stream = [0, 1]
cdf = source.cumsum(-1).tolist()
noise = torch.rand(60000).tolist()
for u in noise:
    row = cdf[stream[-2]][stream[-1]]
    stream.append(next((i for i, c in enumerate(row) if u <= c), vocab_size - 1))
logp = source.log()
nll = [-logp[a, b, c].item() for a, b, c in zip(stream[50000:], stream[50001:], stream[50002:])]
print(f"source entropy rate (held-out estimate) {sum(nll) / len(nll):.3f} nats, uniform {math.log(vocab_size):.3f}")
data = torch.tensor(stream)
train_data, val_data = data[:50000], data[50000:]


def get_batch(split):
    d = train_data if split == "train" else val_data
    ix = torch.randint(len(d) - block_size - 1, (batch_size,))
    return torch.stack([d[i:i + block_size] for i in ix]), torch.stack([d[i + 1:i + 1 + block_size] for i in ix])


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(n_embd), nn.LayerNorm(n_embd)
        self.c_attn, self.c_proj = nn.Linear(n_embd, 3 * n_embd), nn.Linear(n_embd, n_embd)
        self.mlp = nn.Sequential(nn.Linear(n_embd, 4 * n_embd), nn.GELU(), nn.Linear(4 * n_embd, n_embd))
        self.register_buffer("bias", torch.tril(torch.ones(block_size, block_size)).view(1, 1, block_size, block_size))

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = (z.view(B, T, n_head, C // n_head).transpose(1, 2) for z in self.c_attn(self.ln_1(x)).split(n_embd, dim=2))
        att = (q @ k.transpose(-2, -1)) / math.sqrt(k.size(-1))
        att = F.softmax(att.masked_fill(self.bias[:, :, :T, :T] == 0, float("-inf")), dim=-1)
        x = x + self.c_proj((att @ v).transpose(1, 2).contiguous().view(B, T, C))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab_size, n_embd), nn.Embedding(block_size, n_embd)
        self.h = nn.ModuleList([Block() for _ in range(n_layer)])
        self.ln_f, self.lm_head = nn.LayerNorm(n_embd), nn.Linear(n_embd, vocab_size, bias=False)

    def forward(self, idx, targets):
        x = self.wte(idx) + self.wpe(torch.arange(idx.size(1)))
        for block in self.h:
            x = block(x)
        return F.cross_entropy(self.lm_head(self.ln_f(x)).view(-1, vocab_size), targets.view(-1))


def get_lr(it):
    if it < warmup:
        return lr * (it + 1) / warmup
    return min_lr + 0.5 * (lr - min_lr) * (1 + math.cos(math.pi * (it - warmup) / (max_iters - warmup)))


model = GPT()
optimizer = torch.optim.AdamW(model.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.1)
for it in range(max_iters + 1):
    for g in optimizer.param_groups:
        g["lr"] = get_lr(it)
    if it % eval_every == 0:
        model.eval()
        with torch.no_grad():
            means = {s: sum(model(*get_batch(s)).item() for _ in range(8)) / 8 for s in ("train", "val")}
        model.train()
        print(f"iter {it}: train {means['train']:.4f} val {means['val']:.4f} lr {get_lr(it):.2e}")
    loss = model(*get_batch("train"))
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
