"""Does a prediction change when a later token, or number of a series, changes? Judged only where the loss counts.

Asked only of models that continue their own input: their targets are an input, shifted in time.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from cognate.observe.probes.leaks import leaking_modules
from cognate.observe.probes.replay import NotRun, Replay, state_kept
from cognate.observe.probes.sequences import Tokens, Values, sequence_of


def causality(replay: Replay) -> dict[str, Any]:
    """Replaced all tokens after position t by other tokens of the batch and compared the scored predictions up to t."""
    sequence = sequence_of(replay)
    model = replay.copy()
    count = sequence.judged + 1
    moments = sorted({max(0, t) for t in (count // 4 - 1, count // 2 - 1, (3 * count) // 4 - 1, count - 2)})
    result: dict[str, Any] = {"offset": sequence.offset, "time": sequence.time, "modes": {}}
    for mode in sequence.MODES:
        rows = [_compare(replay, model, sequence, t, mode == "train") for t in moments]
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
    result["own"] = _own_effect(replay, model, sequence, sequence.judged // 2)
    if worst["before"] > 1e-4 * max(1.0, worst["scale"]):
        result["leaking_modules"] = _leaking(replay, model, sequence, worst["t"])
    return result


def _compare(replay: Replay, model: nn.Module, sequence: Tokens | Values, t: int, training: bool) -> dict[str, Any] | None:
    assert replay.loss is not None
    target = replay.loss.target
    args, kwargs = replay.inputs()
    with state_kept(model):
        base = sequence.by_position(replay.scores(model, args, kwargs, training).detach(), target)
    args, kwargs = replay.inputs(lambda x: sequence.replaced(x, t))
    with state_kept(model):
        changed = sequence.by_position(replay.scores(model, args, kwargs, training).detach(), target)
    kept = sequence.scored(target, replay.loss.row.get("ignore_index", -100), base.shape[1])[:, : t + 1]
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


def _own_effect(replay: Replay, model: nn.Module, sequence: Tokens | Values, t: int) -> float:
    """How much the prediction at t changes when the tokens from t on change: zero where a model reads its input one step late."""
    assert replay.loss is not None
    scores = []
    for change in (None, lambda x: sequence.replaced(x, t - sequence.reach)):
        args, kwargs = replay.inputs(change)
        with state_kept(model):
            scores.append(sequence.by_position(replay.scores(model, args, kwargs, False).detach(), replay.loss.target))
    return float((scores[0][:, t] - scores[1][:, t]).abs().max())


def _leaking(replay: Replay, model: nn.Module, sequence: Tokens | Values, t: int) -> list[dict[str, Any]]:
    def run(change: Any = None) -> Any:
        args, kwargs = replay.inputs(change)
        return replay.forward(model, args, kwargs, False)

    return leaking_modules(model, run, lambda: run(lambda x: sequence.replaced(x, t)), sequence.time, t + sequence.reach - 1)
