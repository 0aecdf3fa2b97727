"""Does the model use its input? The same loss with the samples dealt to the wrong targets, and with an empty input."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cognate.observe.live.facts import same_values
from cognate.observe.probes.replay import NotRun, Replay


def input_dependence(replay: Replay) -> dict[str, Any]:
    """Measured the loss in evaluation mode on the real batch and on the batch with its samples shifted against the targets."""
    inputs = [t for t in replay.snapshot.inputs if t.dim() > 0]
    if not inputs or inputs[0].shape[0] < 4:
        raise NotRun("the batch is too small to deal its samples to other targets")
    if replay.loss is None:
        raise NotRun("no torch.nn.functional loss was computed from the model's output")
    size = inputs[0].shape[0]
    model = replay.copy()
    target = replay.loss.target

    def shifted(x: Tensor) -> Tensor:
        # An input that is the target itself is left alone: it is the label, not what the label is predicted from.
        same = len(inputs) > 1 and same_values(x, target)
        return x.roll(size // 2, 0) if x.dim() and x.shape[0] == size and not same else x

    with torch.no_grad():
        real = _loss(replay, model, None)
        wrong = _loss(replay, model, shifted)
        scores = replay.scores(model, *replay.inputs(), False).float()
        spread = float(scores.std(0).mean()) if scores.dim() > 1 and scores.shape[0] > 1 else None
    result: dict[str, Any] = {"real": real, "shifted": wrong, "output_spread": spread, "scale": float(scores.std())}
    if replay.loss.name == "cross_entropy" and not target.is_floating_point():
        result["label_entropy"] = _entropy(target, int(replay.loss.row.get("ignore_index", -100)))
    elif target.is_floating_point() and replay.loss.name == "mse_loss":
        result["target_variance"] = float(target.float().var(unbiased=False))
    return result


def _loss(replay: Replay, model: Any, change: Any) -> float:
    args, kwargs = replay.inputs(change)
    return float(replay.value(replay.scores(model, args, kwargs, False)))


def _entropy(target: Tensor, ignore: int) -> float:
    counts = torch.unique(target[target != ignore], return_counts=True)[1].double()
    share = counts / counts.sum()
    return float(-(share * share.log()).sum())
