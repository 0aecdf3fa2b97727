"""Causal sliding-window attention: which keys a token may see, and how it looks at them.

Token t attends to itself and to the `window` - 1 tokens before it in its own document, in the backbone and in the refiner's two
cross-attentions alike: no path leads from a later token to an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Visibility:
    """Which keys each query may see. Made once a forward and shared by all attentions in it."""

    causal: bool = True  # queries and keys are the same tokens, and every earlier one is visible
    mask: Tensor | None = None  # (B or 1, 1, Q, K) bool, True where visible; replaces `causal`
    block: Any = None  # FlexAttention's block mask; replaces both


def visibility(tokens: int, window: int, documents: Tensor | None, device: torch.device) -> Visibility:
    """Who sees whom among `tokens` tokens of a full forward.

    `documents` (B, T) int64 keeps packed documents apart. Where nothing but the order limits the view, no mask is made at all:
    the causal kernel is the fastest.
    """
    if documents is None and tokens <= window:
        return Visibility()
    if device.type == "cuda":
        return Visibility(block=block_mask(tokens, window, documents, device))
    at = torch.arange(tokens, device=device)
    distance = at[:, None] - at[None, :]  # (T, T)
    mask = ((distance >= 0) & (distance < window))[None, None]
    if documents is not None:
        mask = mask & (documents[:, None, :, None] == documents[:, None, None, :])
    return Visibility(mask=mask)


def visible_from(queries: Tensor, keys: Tensor, window: int) -> Visibility:
    """Who sees whom where queries at positions `queries` (B, Q) int64 look at keys at `keys` (K) int64, in one document."""
    distance = queries[:, :, None] - keys[None, None, :]  # (B, Q, K)
    return Visibility(mask=((distance >= 0) & (distance < window))[:, None])


def block_mask(tokens: int, window: int, documents: Tensor | None, device: torch.device) -> Any:
    """The same limits for FlexAttention, which skips whole blocks outside the window."""
    from torch.nn.attention.flex_attention import create_block_mask

    def visible(batch: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        near = (query >= key) & (query - key < window)
        return near if documents is None else near & (documents[batch, query] == documents[batch, key])

    rows = None if documents is None else documents.shape[0]
    return create_block_mask(visible, rows, None, tokens, tokens, device=device.type)


@lru_cache(maxsize=1)
def _compiled_flex() -> Any:
    """FlexAttention runs block by block only when it is compiled; once a process."""
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)


class Attention(nn.Module):
    """Multi-head attention of `queries` on keys and values that are projected apart, so that they can be kept."""

    def __init__(self, width: int, heads: int, *, bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width, bias=bias)
        self.key = nn.Linear(width, width, bias=bias)
        self.value = nn.Linear(width, width, bias=bias)
        self.output = nn.Linear(width, width, bias=bias)

    def keys_values(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of `source` (B, K, D), each (B, heads, K, D / heads)."""
        return self.split(self.key(source)), self.split(self.value(source))

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor, view: Visibility) -> Tensor:
        """What `queries` (B, Q, D) read from `keys` and `values` (B, heads, K, D / heads): (B, Q, D)."""
        query = self.split(self.query(queries))
        if view.block is not None:
            read = _compiled_flex()(query, keys, values, block_mask=view.block)
        elif view.mask is not None:
            read = F.scaled_dot_product_attention(query, keys, values, attn_mask=view.mask)
        else:
            read = F.scaled_dot_product_attention(query, keys, values, is_causal=view.causal)
        return self.output(read.transpose(1, 2).flatten(2))

    def split(self, x: Tensor) -> Tensor:
        """One head beside the other."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, T, D) -> (B, heads, T, D / heads)
