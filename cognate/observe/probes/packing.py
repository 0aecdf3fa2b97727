"""Do documents that share a row see one another? The tokens of one are replaced, the predictions in the others compared."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cognate.observe.probes.replay import NotRun, Replay, state_kept

# More parts than this in a row are no documents.
MOST_PARTS = 512


def packing(replay: Replay) -> dict[str, Any]:
    """Replaced the tokens of the first document of each row and compared the scored predictions in the documents behind it."""
    tokens, parts, told = _documents(replay)
    batch, time = tokens.shape
    model = replay.copy()
    rows = [_by_position(replay, model, change, batch, time) for change in (None, lambda x: _other_first(x, tokens, parts))]
    length = rows[0].shape[1]
    target = replay.loss.target.reshape(batch, -1)[:, :length]  # type: ignore[union-attr]
    ignore = int(replay.loss.row.get("ignore_index", -100))  # type: ignore[union-attr]
    scored = target != ignore
    later = parts[:, :length] > parts[:, :1]
    kept = scored & later
    if not bool(kept.any()):
        raise NotRun("no scored position lies in a second document of a row")
    moved = (rows[0] - rows[1]).abs().amax(-1)
    ends = (parts[:, 1:] > parts[:, :-1])[:, :length]
    return {
        "told": told,  # how the model is told where documents begin
        "documents": round(float(parts.amax(1).float().mean()) + 1, 2),
        "later": float(moved[kept].max()),
        "own": float(moved[(parts[:, :length] == 0) & scored].max()) if bool(((parts[:, :length] == 0) & scored).any()) else 0.0,
        "scale": float(rows[0].float().std()),
        # Whether the loss leaves out the first token of each document, which the one before it cannot foretell.
        "boundaries_scored": round(float(scored[:, : ends.shape[1]][ends[:, :length]].float().mean()), 4),
        "scored": round(float(scored.float().mean()), 4),
    }


def _documents(replay: Replay) -> tuple[Tensor, Tensor, str]:
    """The token input, the number of the document of each token, counted from 0 in each row, and where that is told."""
    if replay.loss is None:
        raise NotRun("no torch.nn.functional loss was computed from the model's output")
    given = [t for t in replay.snapshot.inputs if t.dim() == 2 and not t.is_floating_point() and t.shape[1] >= 4]
    audit = replay.loss.row.get("target", {}).get("audit") or {}
    if audit.get("offset") != 1:
        raise NotRun("the targets are not the input shifted by one, so rows of a language model are not what is trained on")
    tokens = next((t for t in given if int(t.min()) >= 0 and _agrees(t, replay)), None)
    if tokens is None:
        raise NotRun("no input of tokens was given to the model")
    for other in given:
        if other is tokens or other.shape != tokens.shape or other.dtype is torch.bool:
            continue
        steps = other[:, 1:] - other[:, :-1]
        # Numbers that go up at every token are positions.
        if bool(((steps == 0) | (steps == 1)).all()) and int(steps.sum()) < steps.numel() / 2 and _several(steps == 1):
            return tokens, _numbered(steps == 1), "segments"
        resets = (other[:, 1:] == 0) & (steps != 0)
        if bool(((steps == 1) | resets).all()) and bool((other[:, 0] == 0).all()) and _several(resets):
            return tokens, _numbered(resets), "positions"
    raise NotRun("the model is given nothing that says where documents begin within a row")


def _agrees(tokens: Tensor, replay: Replay) -> bool:
    """Whether the targets are these tokens, shifted by one."""
    assert replay.loss is not None
    target, ignore = replay.loss.target, int(replay.loss.row.get("ignore_index", -100))
    batch, time = tokens.shape
    for length in (time, time - 1):
        if target.numel() == batch * length:
            rows = target.reshape(batch, length)[:, : time - 1]
            kept = rows != ignore
            return bool(kept.any()) and float((rows == tokens[:, 1:][:, : rows.shape[1]])[kept].float().mean()) >= 0.8
    return False


def _several(begins: Tensor) -> bool:
    return float(begins.any(1).float().mean()) >= 0.5 and int(begins.sum(1).max()) < MOST_PARTS


def _numbered(begins: Tensor) -> Tensor:
    return torch.cat([torch.zeros_like(begins[:, :1], dtype=torch.long), begins.long().cumsum(1)], 1)


def _by_position(replay: Replay, model: Any, change: Any, batch: int, time: int) -> Tensor:
    args, kwargs = replay.inputs(change)
    with torch.no_grad(), state_kept(model):
        scores = replay.scores(model, args, kwargs, False).detach()
    if scores.dim() == 3 and scores.shape[0] == batch and scores.shape[2] in (time, time - 1):
        scores = scores.transpose(1, 2)
    if scores.dim() == 2 and scores.shape[0] in (batch * time, batch * (time - 1)):
        scores = scores.reshape(batch, -1, scores.shape[-1])
    if scores.dim() != 3 or scores.shape[0] != batch or scores.shape[1] not in (time, time - 1):
        raise NotRun(f"scores of shape {tuple(scores.shape)} do not cover a batch of {batch} sequences of {time} tokens")
    return scores.float()


def _other_first(x: Tensor, tokens: Tensor, parts: Tensor) -> Tensor:
    """`x` with each token of the rows' first documents replaced by another of the batch, if `x` is the token input.

    A row of one document alone is left as it is. The last token of a document stays: a marker there says where it ends.
    """
    if x.shape != tokens.shape or x.dtype != tokens.dtype or not torch.equal(x, tokens):
        return x
    first = (parts == 0) & (parts.amax(1, keepdim=True) > 0)
    first[:, :-1] &= parts[:, 1:] == 0
    pool = torch.unique(tokens[parts == 0])
    if pool.numel() < 2:
        raise NotRun("the first documents hold one and the same token")
    place = torch.searchsorted(pool, x).clamp(max=pool.numel() - 1)
    return torch.where(first, pool[(place + 1) % pool.numel()], x)
