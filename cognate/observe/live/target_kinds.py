"""What the targets of a loss are: classes written as floats, rows that end in padding, a shift that crosses from row to row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cognate.observe.live import facts

# A shift is exact; a few positions may be masked.
EXACT = 0.98
# Rows that must end in a run of one value before that value counts as padding.
LEAST_TAILS = 0.25


def classes(target: Tensor) -> dict[str, Any]:
    """For a float target: whether it holds whole numbers only, and what its rows are (one_hot, multi_hot, probabilities)."""
    found: dict[str, Any] = {}
    values = facts.sample(target, 4096)
    if values.numel() == 0 or not bool(torch.isfinite(values).all()):
        return found
    found["whole"] = bool((values == values.round()).all())
    if target.dim() >= 2 and target.shape[-1] >= 2:
        rows = target.detach().reshape(-1, target.shape[-1])[: facts.MOST_ROWS].float()
        if bool(((rows == 0) | (rows == 1)).all()):
            found["rows"] = "one_hot" if bool((rows.sum(-1) == 1).all()) else "multi_hot"
        else:
            found["rows"] = facts.rows_kind(rows, 1)
    return found


def audit(target: Tensor, given: list[Tensor], ignore: int) -> dict[str, Any]:
    """How `ignore` meets an integer target, looked at in rows; empty where the rows can't be told.

    `holes` is the share of the positions between the first and the last that count in their row which don't. `tail` is there
    where rows end in runs of one value and of different lengths: the value, the `share` of positions in them, how much of the
    rest holds the value (`elsewhere`) or is left out (`ignored_elsewhere`), and `quiet`, the share of the tail's positions at
    which an input of the model that lies over it stays the same from one position to the next: there the data are padded too.
    """
    laid = _rows(target, given)
    if laid is None:
        return {}
    rows, over = laid
    found: dict[str, Any] = {}
    counted = rows != ignore
    if not bool(counted.all()):
        inner = (counted.long().cumsum(1) > 0) & (counted.flip(1).long().cumsum(1).flip(1) > 0)
        found["holes"] = round(float((inner & ~counted).sum() / inner.sum().clamp_min(1)), 4)
    length = rows.shape[1]
    value = rows[:, -1].mode().values
    runs = (rows.flip(1) == value).long().cumprod(1).sum(1)
    runs = torch.where(runs >= 2, runs, torch.zeros_like(runs))
    if float((runs > 0).float().mean()) < LEAST_TAILS or len(set(runs.tolist()) - {0, length}) < 2:
        return found
    inside = torch.arange(length, device=rows.device)[None] >= (length - runs)[:, None]
    rest = rows[~inside]
    found["tail"] = {
        "value": int(value),
        "share": round(float(inside.float().mean()), 4),
        "elsewhere": round(float((rest == value).float().mean()), 4) if rest.numel() else 0.0,
        "ignored_elsewhere": round(float((rest == ignore).float().mean()), 4) if rest.numel() else 0.0,
    }
    quiet = [_quiet(tensor, inside) for tensor in over]
    if quiet:
        found["tail"]["quiet"] = round(max(quiet), 4)
    return found


def _rows(target: Tensor, given: list[Tensor]) -> tuple[Tensor, list[Tensor]] | None:
    """The target as (batch, time), and the inputs (batch, time, …) that lie over it."""
    fitting = [
        t
        for t in given
        if t.dim() >= 2
        and t.shape[1] >= 4
        and t.shape[0] >= 4
        and target.numel() in (t.shape[0] * t.shape[1], t.shape[0] * (t.shape[1] - 1))
    ]
    if target.dim() == 2 and target.shape[0] >= 4 and target.shape[1] >= 4:
        shape = tuple(target.shape)
    elif target.dim() == 1 and fitting:
        batch = fitting[0].shape[0]
        shape = (batch, target.numel() // batch)
    else:
        return None
    rows = target.detach().reshape(shape)
    over = [t for t in fitting if t.shape[:2] == shape and not (t.dtype == rows.dtype and facts.same_values(t, rows))]
    return rows, over


def _quiet(tensor: Tensor, inside: Tensor) -> float:
    flat = tensor.detach().reshape(*tensor.shape[:2], -1)
    # The first position of a tail may differ from what stands before it, so successors are compared within it.
    same = (flat[:, 1:] == flat[:, :-1]).all(-1)
    within = inside[:, 1:] & inside[:, :-1]
    return float(same[within].float().mean()) if bool(within.any()) else 0.0


def crossing(target: Tensor, tokens: Tensor) -> dict[str, Any] | None:
    """How a flat target takes the last answer of each row of `tokens` (batch, time) from the next row; None where it doesn't.

    `how` is "flat" where the flattened tokens were shifted as one sequence and "roll" where they were rolled as one; `first` is
    the share of rows that begin with the commonest first token: rows that begin alike don't continue one another.
    """
    batch, time = tokens.shape
    answers = target.detach().reshape(-1)
    flat = tokens.detach().reshape(-1)
    if batch < 2 or not batch * time - 2 <= answers.numel() <= batch * time:
        return None
    offset = batch * time - answers.numel()
    expected = flat[offset:] if offset else flat.roll(-1)
    ends = torch.arange(batch - 1, device=flat.device) * time + time - max(offset, 1)
    keep = answers >= 0
    if not bool(keep.any()) or float((answers == expected)[keep].float().mean()) < EXACT:
        return None
    # Where the ends of rows were masked out, nothing crosses.
    if float((answers[ends] == expected[ends]).float().mean()) < EXACT:
        return None
    first = tokens[:, 0]
    return {
        "how": "flat" if offset else "roll",
        "wraps": not offset and bool(answers[-1] == flat[0]),
        "rows": batch,
        "first": round(float((first == first.mode().values).float().mean()), 4),
    }
