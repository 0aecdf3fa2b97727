"""Small GPT with a Trainer; text is a stream of multiplication facts."""
import random
from dataclasses import dataclass

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset


@dataclass
class GPTConfig:
    vocab_size: int = 0
    block_size: int = 28
    n_layer: int = 2
    n_head: int = 4
    n_embd: int = 48


class FactStream(Dataset):
    def __init__(self, n, cfg, seed):
        rng = random.Random(seed)
        text = "".join(f"{a}*{b}={a * b};" for a, b in ((rng.randint(2, 9), rng.randint(2, 9)) for _ in range(n)))
        self.chars = sorted("0123456789*=;")
        self.ids = torch.tensor([self.chars.index(c) for c in text])
        self.block = cfg.block_size

    def __len__(self):
        return (len(self.ids) - 1) // self.block

    def __getitem__(self, i):
        chunk = self.ids[i * self.block:(i + 1) * self.block]
        return {"input_ids": chunk, "labels": chunk.clone()}


class Block(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.ln_1, self.ln_2 = nn.LayerNorm(c.n_embd), nn.LayerNorm(c.n_embd)
        self.qkv, self.proj = nn.Linear(c.n_embd, 3 * c.n_embd), nn.Linear(c.n_embd, c.n_embd)
        self.mlp = nn.Sequential(nn.Linear(c.n_embd, 4 * c.n_embd), nn.GELU(), nn.Linear(4 * c.n_embd, c.n_embd))
        self.h = c.n_head

    def forward(self, x):
        B, T, C = x.shape
        q, k, v = self.qkv(self.ln_1(x)).view(B, T, 3, self.h, C // self.h).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(B, T, C))
        return x + self.mlp(self.ln_2(x))


class GPT(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.c = c
        self.wte, self.wpe = nn.Embedding(c.vocab_size, c.n_embd), nn.Embedding(c.block_size, c.n_embd)
        self.h = nn.Sequential(*[Block(c) for _ in range(c.n_layer)])
        self.ln_f, self.lm_head = nn.LayerNorm(c.n_embd), nn.Linear(c.n_embd, c.vocab_size, bias=False)

    def forward(self, input_ids, labels=None):
        x = self.wte(input_ids) + self.wpe.weight[:input_ids.size(1)]
        logits = self.lm_head(self.ln_f(self.h(x)))
        loss = None
        if labels is not None:
            loss = F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return logits, loss


class Trainer:
    def __init__(self, model, train_set, eval_set, lr=3e-3, epochs=4, batch_size=24):
        self.model, self.epochs = model, epochs
        self.train_dl = DataLoader(train_set, batch_size, shuffle=True)
        self.eval_dl = DataLoader(eval_set, 64)
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=lr)

    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            losses = [self.model(**b)[1].item() for b in self.eval_dl]
        self.model.train()
        return sum(losses) / len(losses)

    def train(self):
        for epoch in range(self.epochs):
            for step, batch in enumerate(self.train_dl):
                _, loss = self.model(**batch)
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                if step % 60 == 0:
                    print(f"epoch {epoch} step {step} loss {loss.item():.4f}")
            print(f"epoch {epoch} eval_loss {self.evaluate():.4f}")


torch.manual_seed(0)
cfg = GPTConfig()
train_set, eval_set = FactStream(9000, cfg, 0), FactStream(800, cfg, 1)
cfg.vocab_size = len(train_set.chars)
model = GPT(cfg)
Trainer(model, train_set, eval_set).train()

ok, chars = 0, train_set.chars
for a in range(2, 10):
    for b in range(2, 10):
        want = f"{a * b};"
        ids = [chars.index(c) for c in f"3*3=9;{a}*{b}="]
        for _ in want:
            with torch.no_grad():
                ids.append(model(torch.tensor([ids]))[0][0, -1].argmax().item())
        ok += "".join(chars[i] for i in ids[-len(want):]) == want
print(f"facts recalled by greedy decoding: {ok}/64")
