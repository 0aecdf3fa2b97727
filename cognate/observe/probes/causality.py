"""Does a prediction change when a later token changes? Judged only where the loss counts, for next-token objectives."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.probes.leaks import leaking_modules
from cognate.observe.probes.replay import NotRun, Replay, state_kept

# A target row must equal the input shifted by one in at least this share of positions for the task to be next-token
# prediction on its own input; packed or masked rows leave a little out.
NEXT_TOKEN_SHARE = 0.8


def causality(replay: Replay) -> dict[str, Any]:
    """Replaced all tokens after position t by other tokens of the batch and compared the scored predictions up to t."""
    tokens, offset = _token_input(replay)
    _, time = tokens.shape
    model = replay.copy()
    moments = sorted({max(0, time // 4 - 1), time // 2 - 1, (3 * time) // 4 - 1, time - 2} - {-1})
    result: dict[str, Any] = {"offset": offset, "time": time, "modes": {}}
    for mode in ("eval", "train"):
        rows = [_compare(replay, model, tokens, t, mode == "train") for t in moments]
        rows = [row for row in rows if row is not None]
        if rows:
            result["modes"][mode] = rows
    if not result["modes"]:
        raise NotRun("no scored position precedes a token that could be changed")
    worst = max((row for rows in result["modes"].values() for row in rows), key=lambda row: row["before"])
    result["before"], result["after"] = (
        worst["before"],
        max(r["after"] for rows in result["modes"].values() for r in rows),
    )
    result["scale"] = worst["scale"]
    result["own"] = _own_effect(replay, model, tokens, time // 2)
    if worst["before"] > 1e-4 * max(1.0, worst["scale"]):
        result["leaking_modules"] = _leaking(replay, model, tokens, worst["t"])
    return result


def _token_input(replay: Replay) -> tuple[Tensor, int]:
    """The integer input that the targets are a shift of, and by how much; NotRun for any other task."""
    if replay.loss is None:
        raise NotRun("no torch.nn.functional loss was computed from the model's output")
    offsets = replay.loss.row.get("target", {}).get("offsets", {})
    candidates = [t for t in replay.snapshot.inputs if not t.is_floating_point()]
    if not offsets:
        raise NotRun("the targets are not laid over a sequence of input tokens, so there is no future to leak")
    best: tuple[float, int, int] = (0.0, 0, 0)
    for index, shares in offsets.items():
        for offset in (1, 2, 3, 0):
            share = shares.get(str(offset), 0.0)
            if share > best[0] and int(index) < len(candidates):
                best = (share, int(index), offset)
    share, index, offset = best
    if share < NEXT_TOKEN_SHARE:
        raise NotRun("the targets are not the input shifted in time, so no position is known to be the future")
    if offset == 0 and _positions_equal_everywhere(replay, index):
        raise NotRun("the targets are the input itself, so no position is known to be the future")
    return candidates[index], offset


def _positions_equal_everywhere(replay: Replay, index: int) -> bool:
    shares = replay.loss.row["target"]["offsets"][str(index)] if replay.loss else {}
    # A language model that forgot to shift is still asked about: whether it is causal tells it from an autoencoder.
    return shares.get("0", 0.0) < 1.0


def _compare(replay: Replay, model: nn.Module, tokens: Tensor, t: int, training: bool) -> dict[str, Any] | None:
    batch, time = tokens.shape

    args, kwargs = replay.inputs()
    with state_kept(model):
        base = _by_position(replay.scores(model, args, kwargs, training).detach(), batch, time)
    args, kwargs = replay.inputs(lambda x: _replaced(x, tokens, t))
    with state_kept(model):
        changed = _by_position(replay.scores(model, args, kwargs, training).detach(), batch, time)
    kept = _scored(replay, batch, base.shape[1])[:, : t + 1]
    if base.shape != changed.shape or not bool(kept.any()):
        return None
    moved = (base - changed).abs().amax(-1)
    before = moved[:, : t + 1][kept]
    return {
        "t": t,
        "before": float(before.max()),
        "after": float(moved[:, t + 1 :].max()) if moved.shape[1] > t + 1 else 0.0,
        "scale": float(base.float().std()),
    }


def _own_effect(replay: Replay, model: nn.Module, tokens: Tensor, t: int) -> float:
    """How much the prediction at t changes when the tokens from t on change: zero where a model reads its input one step late."""
    batch, time = tokens.shape
    scores = []
    for change in (None, lambda x: _replaced(x, tokens, t - 1)):
        args, kwargs = replay.inputs(change)
        with state_kept(model):
            scores.append(_by_position(replay.scores(model, args, kwargs, False).detach(), batch, time))
    return float((scores[0][:, t] - scores[1][:, t]).abs().max())


def _replaced(x: Tensor, tokens: Tensor, t: int) -> Tensor:
    """`x` with the tokens after t replaced, if `x` is the token input; any other input as it is."""
    if x.shape != tokens.shape or x.dtype != tokens.dtype or not torch.equal(x, tokens):
        return x
    pool = torch.unique(tokens)
    if pool.numel() > 1:
        position = torch.searchsorted(pool, x[:, t + 1 :].contiguous())
        x[:, t + 1 :] = pool[(position + 1) % pool.numel()]
    return x


def _by_position(scores: Tensor, batch: int, time: int) -> Tensor:
    """Scores as (batch, position, classes). Raises NotRun where they do not cover a sequence."""
    if scores.dim() == 2 and scores.shape[0] % batch == 0 and scores.shape[0] // batch in (time, time - 1):
        return scores.reshape(batch, -1, scores.shape[-1])
    if scores.dim() == 3 and scores.shape[0] == batch and scores.shape[2] in (time, time - 1):
        return scores.transpose(1, 2)
    if scores.dim() == 3 and scores.shape[0] == batch and scores.shape[1] in (time, time - 1):
        return scores
    raise NotRun(f"scores of shape {tuple(scores.shape)} do not cover a batch of {batch} sequences of {time} tokens")


def _scored(replay: Replay, batch: int, length: int) -> Tensor:
    assert replay.loss is not None
    target = replay.loss.target.reshape(batch, -1)[:, :length]
    return target != replay.loss.row.get("ignore_index", -100)


def _leaking(replay: Replay, model: nn.Module, tokens: Tensor, t: int) -> list[dict[str, Any]]:
    def run(change: Any = None) -> Any:
        args, kwargs = replay.inputs(change)
        return replay.forward(model, args, kwargs, False)

    return leaking_modules(model, run, lambda: run(lambda x: _replaced(x, tokens, t)), tokens.shape[1], t)
