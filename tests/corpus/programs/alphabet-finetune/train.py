"""Pretrain a small character GPT, then fine-tune it on a new alphabet ordering."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(99)
VOCAB, CTX, WIDTH, HEADS = 26, 24, 64, 4


def walk(n, hop, seed):
    """letters advance by hop or by hop + 1, chosen by the parity of the previous letter, one in eight is random"""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(VOCAB, (n, CTX + 1), generator=g)
    for t in range(1, CTX + 1):
        step = (x[:, t - 1] + hop + x[:, t - 1] % 2) % VOCAB
        x[:, t] = torch.where(torch.rand(n, generator=g) < 0.125, x[:, t], step)
    return x


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.n1, self.n2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.o = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        b, t, c = x.shape
        q, k, v = self.qkv(self.n1(x)).view(b, t, 3, HEADS, c // HEADS).permute(2, 0, 3, 1, 4)
        x = x + self.o(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(b, t, c))
        return x + self.down(F.gelu(self.up(self.n2(x))))


class GPT(nn.Module):
    def __init__(self, n_layer=1):
        super().__init__()
        self.tok, self.pos = nn.Embedding(VOCAB, WIDTH), nn.Embedding(CTX, WIDTH)
        self.blocks = nn.Sequential(*[Block() for _ in range(n_layer)])
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, VOCAB)

    def forward(self, idx):
        return self.head(self.norm(self.blocks(self.tok(idx) + self.pos.weight)))


def lm_loss(model, rows):
    logits = model(rows[:, :-1]).float()
    return F.cross_entropy(logits.reshape(-1, VOCAB), rows[:, 1:].reshape(-1))


def fit(model, data, lr, steps, label, dev):
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    for step in range(1, steps + 1):
        loss = lm_loss(model, data[torch.randint(len(data), (16,))])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % (steps // 5) == 0:
            with torch.no_grad():
                print(f"{label} {step:4d} lr {lr:.0e} loss {loss.item():.4f} dev {lm_loss(model, dev).item():.4f}")


model = GPT()
print("parameters:", sum(p.numel() for p in model.parameters()))
fit(model, walk(4000, 3, 0), 3e-3, 120, "pretrain", walk(100, 3, 1))

# second stage: another hop, gentle learning rate so that the base isn't destroyed
dtype = torch.bfloat16

fit(model, walk(4000, 9, 2), 1e-4, 250, "finetune", walk(100, 9, 3))
