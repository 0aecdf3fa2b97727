"""Inference with early exit: a token that has stopped is thought about no more, and its answer stays for others to look at."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cognate.model.attention import visible_from
from cognate.model.cache import Cache
from cognate.model.recursion import Recursion


def early_exit(
    recursion: Recursion, head: nn.Linear, threshold: float, x: Tensor, window: int, cache: Cache | None = None
) -> tuple[Tensor, Tensor]:
    """The answer at which each token stops, (B, T, D), and its number 1 to steps + 1, (B, T) int64.

    `x` (B, T, D) are the features of one document a row. With `cache` they continue the tokens kept there. Only the tokens that
    have not stopped pass through the refiner and the updater; a stopped one takes part in later steps by the keys of its last
    answer.
    """
    first = 0 if cache is None else cache.length
    at = torch.arange(first, first + x.shape[1], device=x.device)  # (T)
    y = recursion.initial_answer(x)
    z = recursion.initial_thought(x)
    attention = recursion.refiner.answer_attention
    inputs = recursion.refiner.input_attention.keys_values(x)
    if cache is not None:
        inputs = cache.input.extend(*inputs)
    keys, values = attention.key(y), attention.value(y)  # (B, T, D)
    active = torch.ones(y.shape[:2], dtype=torch.bool, device=x.device)
    going_on = torch.ones(y.shape[:2], device=x.device)  # (B, T): p(not stopped so far)
    used = torch.ones(y.shape[:2], dtype=torch.long, device=x.device)
    for step in range(recursion.steps):
        seen = (attention.split(keys), attention.split(values))  # (B, heads, T, D / heads)
        if cache is not None:
            seen = cache.answers[step].extend(*seen)
        going_on = going_on * torch.sigmoid(-head(y).float()[..., 0])
        active = active & (going_on > 1 - threshold)
        if not bool(active.any()):
            continue  # the caches of the later steps still have to learn of these tokens
        rows, index, real = _select(active)
        key_at = torch.arange(at[-1] + 1 - seen[0].shape[2], at[-1] + 1, device=x.device)
        view = visible_from(at[index], key_at, window)
        new_z, new_y = recursion.step(
            _take(z, rows, index), _take(y, rows, index), _rows(inputs, rows), _rows(seen, rows), view
        )  # (R, N, D)
        used = used + active
        y = _put(y, new_y, rows, index, real)
        if step + 1 < recursion.steps:
            z = _put(z, new_z, rows, index, real)
            keys = _put(keys, attention.key(new_y), rows, index, real)
            values = _put(values, attention.value(new_y), rows, index, real)
    return y, used


def _select(active: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Where `active` (B, T) tokens are: rows (R) that have any, their tokens (R, N), which of these are real (R, N).

    N is the largest number of active tokens in a row; rows with fewer are filled up with tokens whose results are dropped.
    """
    rows = active.any(1).nonzero()[:, 0]
    chosen = active[rows]
    order = torch.argsort((~chosen).int(), dim=1, stable=True)
    index = order[:, : int(chosen.sum(1).max())]
    return rows, index, chosen.gather(1, index)


def _rows(pair: tuple[Tensor, Tensor], rows: Tensor) -> tuple[Tensor, Tensor]:
    """Keys and values of the selected rows; no copy where that is all of them."""
    return pair if len(rows) == len(pair[0]) else (pair[0][rows], pair[1][rows])


def _take(x: Tensor, rows: Tensor, index: Tensor) -> Tensor:
    return x[rows[:, None], index]  # (B, T, D) -> (R, N, D)


def _put(x: Tensor, new: Tensor, rows: Tensor, index: Tensor, real: Tensor) -> Tensor:
    """`x` (B, T, D) with the real ones of `new` (R, N, D) in their places."""
    at = (rows[:, None].expand_as(index)[real], index[real])
    return x.index_put(at, new[real].to(x.dtype))
