"""How much does the mode matter: the same batch, the same weights, in training and in evaluation mode."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from cognate.observe.live.modules import depends_on_mode
from cognate.observe.probes.replay import NotRun, Replay


def mode_gap(replay: Replay) -> dict[str, Any]:
    """Measured the loss of the same batch with all modules in training mode and with all in evaluation mode."""
    parts = [m for m in replay.snapshot.module.modules() if depends_on_mode(m)]
    if not parts:
        raise NotRun("no module of the model behaves differently in the two modes")
    losses = {}
    for mode in (True, False):
        model = replay.copy()
        # The replay puts the copy into the modes of the model that it is told to be like.
        like = replace(replay, snapshot=replace(replay.snapshot, module=copy.deepcopy(model).train(mode)))
        args, kwargs = replay.inputs()
        with torch.no_grad():
            losses[mode] = float(like.value(like.scores(model, args, kwargs, True)))
    result = {"train": losses[True], "eval": losses[False], "modules": sorted({type(m).__name__ for m in parts})}
    model = replay.copy()
    kept = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    if kept:
        result["momenta"] = sorted({float(m.momentum) for m in kept if m.momentum is not None})
        result["updated"] = min((int(m.num_batches_tracked) for m in kept if m.num_batches_tracked is not None), default=0)
        result["recalibrated"] = _recalibrated(replay, model, kept)
    return result


def _recalibrated(replay: Replay, model: nn.Module, kept: list[_BatchNorm]) -> float:
    """The loss in evaluation mode with running statistics that are those of this very batch: what stale ones cost."""
    model.eval()
    for module in kept:
        module.train()
        module.momentum = 1.0
    args, kwargs = replay.inputs()
    with torch.no_grad():
        torch.manual_seed(0)
        model(*args, **kwargs)
        args, kwargs = replay.inputs()
        return float(replay.value(replay.scores(model, args, kwargs, False)))
