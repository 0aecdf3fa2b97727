"""The backbone: token and position embeddings, pre-norm transformer layers, a final norm."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from cognate.model.attention import Attention, Visibility
from cognate.model.cache import KeyValueCache
from cognate.model.config import ModelConfig


class FeedForward(nn.Module):
    """SwiGLU (Shazeer 2020, arXiv:2002.05202): down(silu(gate(x)) * up(x))."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward, each added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(config.width, eps=1e-6)
        self.attention = Attention(config.width, config.heads, bias=False)
        self.feed_forward_norm = nn.RMSNorm(config.width, eps=1e-6)
        self.feed_forward = FeedForward(config.width, config.feed_forward)

    def forward(self, h: Tensor, view: Visibility, cache: KeyValueCache | None = None) -> Tensor:
        """(B, T, D) -> (B, T, D); with a cache, T new tokens that also see the ones kept there."""
        normed = self.attention_norm(h)
        keys, values = self.attention.keys_values(normed)
        if cache is not None:
            keys, values = cache.extend(keys, values)
        h = h + self.attention(normed, keys, values, view)
        return h + self.feed_forward(self.feed_forward_norm(h))


class Backbone(nn.Module):
    """Tokens to features. `token_embedding` is also the language-model head: see `CognateModel.logits`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocabulary, config.width)
        self.position_embedding = nn.Embedding(config.positions, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=1e-6)

    def forward(self, tokens: Tensor, positions: Tensor, view: Visibility, caches: list[KeyValueCache] | None = None) -> Tensor:
        """Features (B, T, D) of `tokens` (B, T) int64 at `positions` (B, T) or (T) int64."""
        h = self.token_embedding(tokens) + self.position_embedding(positions)
        for index, layer in enumerate(self.layers):
            h = layer(h, view, None if caches is None else caches[index])
        return self.norm(h)
