"""A small recursive transformer with long-term memory, iterative refinement and adaptive computation time."""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from act_head import ACTHead


@dataclass
class Config:
    vocabulary: int = 128
    length: int = 64
    dim: int = 64
    heads: int = 4
    layers: int = 2
    hidden: int = 128
    window: int = 32
    max_steps: int = 4
    decay: float = 0.9


class SlidingWindowAttention(nn.Module):
    """Each token attends to itself and to the tokens just before it."""

    def __init__(self, config):
        super().__init__()
        self.heads, self.window = config.heads, config.window
        self.qkv = nn.Linear(config.dim, 3 * config.dim, bias=False)
        self.out = nn.Linear(config.dim, config.dim, bias=False)

    def window_mask(self, length, device):
        position = torch.arange(length, device=device)
        distance = position[:, None] - position[None, :]
        return (distance >= 0) & (distance < self.window)

    def forward(self, x):
        batch, length, dim = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1)
        )
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
        scores = scores.masked_fill(~self.window_mask(length, x.device), float("-inf"))
        mixed = scores.softmax(dim=-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(batch, length, dim))


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(config.dim), nn.LayerNorm(config.dim)
        self.attention = SlidingWindowAttention(config)
        self.mlp = nn.Sequential(
            nn.Linear(config.dim, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.dim)
        )

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class LongTermMemory(nn.Module):
    """A slowly decaying summary of the sequence so far, added back through a gate."""

    def __init__(self, config):
        super().__init__()
        self.decay = config.decay
        self.write = nn.Linear(config.dim, config.dim, bias=False)
        self.read = nn.Linear(config.dim, config.dim, bias=False)
        self.gate = nn.Linear(2 * config.dim, config.dim)

    def kernel(self, length, device):
        """Row t holds the weights with which the inputs up to t enter the memory at t."""
        position = torch.arange(length, device=device)
        lag = (position[:, None] - position[None, :]).clamp(min=0)
        return ((1 - self.decay) * self.decay**lag).tril()

    def forward(self, x):
        recalled = self.read(self.kernel(x.size(1), x.device) @ self.write(x))
        gate = torch.sigmoid(self.gate(torch.cat([x, recalled], dim=-1)))
        return x + gate * recalled


class Refiner(nn.Module):
    """One step of thought: looks at the context again and updates the answer."""

    def __init__(self, config):
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.dim, config.dim)
        self.context = nn.Linear(config.dim, 2 * config.dim)
        self.update = nn.Sequential(
            nn.Linear(2 * config.dim, config.hidden), nn.GELU(), nn.Linear(config.hidden, config.dim)
        )
        self.norm = nn.LayerNorm(config.dim)

    def forward(self, answer, context):
        batch, length, dim = answer.shape
        q = self.query(answer).view(batch, length, self.heads, -1).transpose(1, 2)
        k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.context(context).chunk(2, dim=-1)
        )
        attended = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(batch, length, dim)
        return self.norm(answer + self.update(torch.cat([answer, attended], dim=-1)))


class RecursiveTransformer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.tokens = nn.Embedding(config.vocabulary, config.dim)
        self.positions = nn.Embedding(config.length, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.memory = LongTermMemory(config)
        self.refiner = Refiner(config)
        self.act = ACTHead(config.dim)
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, config.vocabulary, bias=False)
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, tokens):
        positions = torch.arange(tokens.size(1), device=tokens.device)
        x = self.tokens(tokens) + self.positions(positions)
        for block in self.blocks:
            x = block(x)
        context = self.memory(x)

        answer, logits, scores = context, [], []
        for _ in range(self.config.max_steps):
            answer = self.refiner(answer, context)
            logits.append(self.head(self.norm(answer)))
            scores.append(self.act(answer))
        return logits, self.act.distribution(torch.stack(scores, dim=-1))
