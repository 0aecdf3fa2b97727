"""What half precision does to the gradients of this model on this batch."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.probes.replay import NotRun, Replay, map_tensors

HALF = (torch.float16, torch.bfloat16)


def precision(replay: Replay) -> dict[str, Any]:
    """Does half precision lose gradients that single precision keeps?

    The training forward and its loss once as the script computes them and once with weights, inputs and operations in float32.
    """
    autocast = replay.snapshot.autocast
    if replay.loss is None:
        raise NotRun("no torch.nn.functional loss was computed from the model's output")
    module = replay.copy()
    dtypes = {p.dtype for p in module.parameters() if p.requires_grad}
    half = autocast[1] if autocast else next((d for d in HALF if d in dtypes), None)
    if half is None:
        raise NotRun("the model computes in single precision")
    context = torch.autocast(autocast[0], dtype=autocast[1]) if autocast else nullcontext()
    args, kwargs = replay.inputs()
    as_run = _gradients(replay, module, args, kwargs, context)
    args, kwargs = map_tensors((args, kwargs), lambda t: t.float() if t.is_floating_point() else t)
    wide = _gradients(replay, replay.copy().float(), args, kwargs, nullcontext())
    return {"dtype": str(half).removeprefix("torch."), "autocast": autocast is not None, **_compare(as_run, wide)}


def _gradients(
    replay: Replay, module: nn.Module, args: Any, kwargs: Any, context: AbstractContextManager[Any]
) -> dict[str, Tensor]:
    module.zero_grad(set_to_none=True)
    with context:
        scores = replay.scores(module, args, kwargs, training=True)
        loss = replay.value(scores)
    # With the weight that it has in what the script differentiates: that decides what falls below the smallest number.
    weight = replay.loss.row.get("coefficient") if replay.loss is not None else None
    (loss.float() * float(weight or 1.0)).backward()
    return {name: p.grad.detach().float() for name, p in module.named_parameters() if p.grad is not None and not p.grad.is_sparse}


def _compare(as_run: dict[str, Tensor], wide: dict[str, Tensor]) -> dict[str, Any]:
    """Elements with a gradient in float32, how many of them have none as the script runs, and where most are lost."""
    lost, alive, broken = 0, 0, 0
    shares: dict[str, float] = {}
    for name, reference in wide.items():
        mine = as_run.get(name)
        if mine is None:
            continue
        there = reference != 0
        gone = int((there & (mine == 0)).sum())
        total = int(there.sum())
        lost, alive, broken = lost + gone, alive + total, broken + int((~mine.isfinite()).sum())
        if total:
            shares[name] = round(gone / total, 5)
    worst = sorted(shares, key=lambda name: -shares[name])[:5]
    return {
        "elements": alive,
        "lost": round(lost / alive, 6) if alive else 0.0,
        "nonfinite": broken,
        "worst": {name: shares[name] for name in worst},
    }
