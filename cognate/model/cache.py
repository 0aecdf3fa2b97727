"""Keys and values kept between decoding steps."""

from __future__ import annotations

import torch
from torch import Tensor


class KeyValueCache:
    """The keys and values of one attention that the next token can still see: those of the last `window` - 1 tokens."""

    def __init__(self, window: int) -> None:
        self.kept = window - 1
        self.keys: Tensor | None = None  # (B, heads, K, D / heads)
        self.values: Tensor | None = None

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append those of T new tokens; return the kept ones followed by them: T + window - 1 at most."""
        if self.keys is not None and self.values is not None:
            keys, values = torch.cat((self.keys, keys), 2), torch.cat((self.values, values), 2)
        first = max(0, keys.shape[2] - self.kept)
        self.keys, self.values = keys[:, :, first:], values[:, :, first:]
        return keys, values


class Cache:
    """What decoding carries from one token to the next: all attentions of the model, and the memory's state."""

    def __init__(self, layers: int, steps: int, window: int) -> None:
        self.length = 0  # tokens seen so far
        self.layers = [KeyValueCache(window) for _ in range(layers)]
        self.memory: Tensor | None = None  # (B, M)
        self.input = KeyValueCache(window)  # the refiner's view of the backbone's features
        self.answers = [KeyValueCache(window) for _ in range(steps)]  # its view of the answers, as they stood before each step
