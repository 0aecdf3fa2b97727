"""What overhead.py runs: a plain training loop that knows nothing of Cognate and times each of its own steps.

python steps.py MODEL STEPS FILE     # MODEL: transformer (5 M parameters) or mlp
"""

import array
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

VOCABULARY, LENGTH, BATCH = 4096, 64, 8


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        batch, time_steps, width = x.shape
        q, k, v = self.qkv(self.before_attention(x)).view(batch, time_steps, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, time_steps, width))
        return x + self.mlp(self.before_mlp(x))


class Transformer(nn.Module):
    def __init__(self, width=256, depth=5, heads=8):
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, width), nn.Embedding(LENGTH, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, VOCABULARY, bias=False)
        self.head.weight = self.tokens.weight

    def forward(self, tokens):
        x = self.tokens(tokens) + self.positions(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


def mlp():
    return nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))


def batch(kind):
    if kind == "mlp":
        return torch.randn(64, 64), torch.randint(10, (64,))
    tokens = torch.randint(VOCABULARY, (BATCH, LENGTH + 1))
    return tokens[:, :-1], tokens[:, 1:]


def main():
    kind, steps, file = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = mlp() if kind == "mlp" else Transformer()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    # The clock is read once a step, so that what observing does between two steps is counted as well.
    clock = array.array("d", [time.process_time()])
    for _ in range(steps):
        inputs, targets = batch(kind)
        optimizer.zero_grad()
        logits = model(inputs)
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets.reshape(-1))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        clock.append(time.process_time())
    Path(file).write_bytes(clock.tobytes())
    print(sum(p.numel() for p in model.parameters()))


if __name__ == "__main__":
    main()
