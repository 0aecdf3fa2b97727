"""The target audit: which tokens of each row a loss scores, what lies around that region, and where rows begin and end.

Everything is said in small columns, one number a row, for the first rows of a batch; what it means is for rules to say.
Positions count in the model's input: the target at position p is the input's token p + `offset`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cognate.observe.live import facts

# Rows that are described; enough for a share to within a few per cent over the calls of the first windows.
MOST_ROWS = 24
# Longer rows are told by their first and last tokens as well, but cost too much to lay over one another.
LONGEST = 8192
# Share of scored targets that must equal the input at one offset for the target to be that input, shifted.
SAME = 0.8
NOTHING = -1


def audit(target: Tensor, inputs: list[Tensor], ignore: int) -> dict[str, Any] | None:
    """Facts about the rows of `target`, laid over the tokens among `inputs`; None where it is no batch of token rows.

    Columns of the first rows, where -1 stands for nothing: `begin` and `end` of the real tokens, `first` and `last` scored
    position, `scored` (how many), `before` (the three tokens before the first scored one), `opens` and `closes` (first and last
    scored token), `after` (the input's token behind the last scored one), `head` (the first three real tokens).
    """
    if target.is_floating_point() or target.numel() == 0:
        return None
    laid = _laid_over(target, inputs, ignore)
    if laid is None:
        rows = _rows_alone(target, inputs)
        return None if rows is None or not 2 <= rows.shape[1] <= LONGEST else _scored(rows[:MOST_ROWS], ignore, 0)
    tokens, rows, offset, share = laid
    tokens, rows = tokens[:MOST_ROWS], rows[:MOST_ROWS]
    time = tokens.shape[1]
    said = _scored(rows, ignore, offset) | {"offset": offset, "share": round(share, 4), "width": time}
    begin, end, pad = _real(tokens, inputs)
    if pad is not None:
        said["pad"] = pad
        said["pad_scored"] = int(((rows == pad) & (rows != ignore)).sum())
    said["begin"], said["end"] = begin.tolist(), end.tolist()
    first, last = (torch.tensor(said[key], device=tokens.device) for key in ("first", "last"))
    said["before"] = [list(row) for row in zip(*[_at(tokens, first - k) for k in (3, 2, 1)], strict=True)]
    said["after"] = _at(tokens, torch.where(last >= 0, last + 1, last))
    said["ends"] = _at(tokens, end)
    said["head"] = [list(row) for row in zip(*[_at(tokens, begin + k) for k in range(3)], strict=True)]
    return said


def _scored(rows: Tensor, ignore: int, offset: int) -> dict[str, Any]:
    """First and last scored position of each row, in the input's count, and the tokens that stand there."""
    scored = rows != ignore
    length = rows.shape[1]
    some = scored.any(1)
    first = scored.long().argmax(1)
    last = length - 1 - scored.flip(1).long().argmax(1)
    opens, closes = rows.gather(1, first[:, None])[:, 0], rows.gather(1, last[:, None])[:, 0]
    nothing = torch.full_like(first, NOTHING)
    return {
        "rows": rows.shape[0],
        "length": length,
        "width": length,
        "scored": scored.sum(1).tolist(),
        "first": torch.where(some, first + offset, nothing).tolist(),
        "last": torch.where(some, last + offset, nothing).tolist(),
        "opens": torch.where(some, opens, nothing).tolist(),
        "closes": torch.where(some, closes, nothing).tolist(),
    }


def _laid_over(target: Tensor, inputs: list[Tensor], ignore: int) -> tuple[Tensor, Tensor, int, float] | None:
    """The input tokens that the target's rows are, at the offset where they agree best: (tokens, rows, offset, share)."""
    best: tuple[Tensor, Tensor, int, float] | None = None
    for tokens in inputs:
        if not _is_tokens(tokens):
            continue
        batch, time = tokens.shape
        length = next((n for n in (time, time - 1) if target.numel() == batch * n), 0)
        if length < 2:
            continue
        rows = target.detach().reshape(batch, length)
        for offset in (1, 0, 2):
            reach = min(length, time - offset)
            kept = rows[:, :reach] != ignore
            if reach < 1 or not bool(kept.any()):
                continue
            share = float((rows[:, :reach] == tokens[:, offset : offset + reach])[kept].float().mean())
            if share >= SAME and (best is None or share > best[3]):
                best = tokens, rows, offset, share
    return best or _unscored(target, inputs, ignore)


def _unscored(target: Tensor, inputs: list[Tensor], ignore: int) -> tuple[Tensor, Tensor, int, float] | None:
    """Where nothing at all is scored, the first tokens that fit in shape; what they would agree with cannot be seen."""
    if bool((target != ignore).any()):
        return None
    for tokens in inputs:
        if _is_tokens(tokens):
            for length in (tokens.shape[1], tokens.shape[1] - 1):
                if target.numel() == tokens.shape[0] * length:
                    return tokens, target.detach().reshape(tokens.shape[0], length), 1, 0.0
    return None


def _is_tokens(tensor: Tensor) -> bool:
    if (
        tensor.dim() != 2
        or tensor.dtype is torch.bool
        or tensor.is_floating_point()
        or tensor.is_complex()
        or not 3 <= tensor.shape[1] <= LONGEST
    ):
        return False
    return tensor.numel() > 0 and int(tensor.min()) >= 0 and int(tensor.max()) > 1


def _rows_alone(target: Tensor, inputs: list[Tensor]) -> Tensor | None:
    """The target as rows of its own: its shape, or that of an input that holds the same numbers (labels given to a model)."""
    if target.dim() == 2:
        return target.detach()
    for given in inputs:
        if given.dim() == 2 and facts.same_values(given, target):
            return given
    return None


def _real(tokens: Tensor, inputs: list[Tensor]) -> tuple[Tensor, Tensor, int | None]:
    """First and last real position of each row and the padding id: from a mask among the inputs, else from runs at the ends."""
    batch, time = tokens.shape
    real, pad = None, None
    for mask in inputs:
        # The inputs hold the whole batch, `tokens` its first rows.
        if mask.dim() != 2 or mask.shape[1] != time or mask.shape[0] < batch or int(mask.min()) < 0 or int(mask.max()) > 1:
            continue
        marked = mask[:batch].bool()
        for side in (marked, ~marked):  # torch marks the padding, Hugging Face what is real
            there = tokens[~side]
            if there.numel() and bool((there == there[0]).all()) and bool(side.any(1).all()):
                real, pad = side, int(there[0])
                break
    if real is None:
        for backwards in (True, False):
            edge = tokens.flip(1) if backwards else tokens
            value = int(edge[:, 0].mode().values)
            runs = (edge == value).long().cumprod(1).sum(1)
            varied = len(set(runs.tolist()) - {0}) >= 2
            if int((runs >= 2).sum()) >= 0.25 * batch and varied and bool((runs < time).all()):
                places = torch.arange(time, device=tokens.device)[None]
                real = places < (time - runs)[:, None] if backwards else places >= runs[:, None]
                pad = value
                break
    if real is None:
        return tokens.new_zeros(batch), tokens.new_full((batch,), time - 1), None
    return real.long().argmax(1), time - 1 - real.flip(1).long().argmax(1), pad


def _at(tokens: Tensor, places: Tensor) -> list[int]:
    """Each row's token at its place; -1 outside the row."""
    inside = (places >= 0) & (places < tokens.shape[1])
    found = tokens.gather(1, places.clamp(0, tokens.shape[1] - 1)[:, None])[:, 0]
    return torch.where(inside, found, torch.full_like(found, NOTHING)).tolist()  # type: ignore[no-any-return]


def edges(tensor: Tensor, most: int = 8) -> dict[str, Any]:
    """The first and last two tokens of the first rows of a batch of tokens (batch, time); nothing for any other tensor."""
    if not _is_tokens(tensor):
        return {}
    rows = tensor.detach()[:most]
    return {"heads": rows[:, :2].tolist(), "tails": rows[:, -2:].tolist()}
