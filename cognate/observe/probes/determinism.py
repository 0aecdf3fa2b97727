"""Is evaluation a function of its input? Same input twice, and again after another batch; no state may have moved."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.live.facts import tensors_in
from cognate.observe.probes.replay import NotRun, Replay


def determinism(replay: Replay) -> dict[str, Any]:
    """Ran the same batch twice in evaluation mode, then another batch, then the first again, and compared outputs and state."""
    model = replay.copy()
    state = {name: tensor.clone() for name, tensor in _state(model).items()}
    first = _run(replay, model, lambda t: t, seed=0)
    if not first:
        raise NotRun("the model returns no floating-point tensor")
    again = _run(replay, model, lambda t: t, seed=1)
    _run(replay, model, lambda t: t.flip(0) if t.dim() else t, seed=2)
    _run(replay, model, _other, seed=2)
    after = _run(replay, model, lambda t: t, seed=0)
    moved = sorted(name for name, old in _state(model).items() if name in state and not _same(state[name], old))
    scale = max(float(t.float().std()) if t.numel() > 1 else 1.0 for t in first)
    return {
        "repeat": _distance(first, again),
        "after_other_batch": _distance(first, after),
        "scale": scale,
        "state_moved": moved[:10],
        "stateful_modules": sorted({name.rpartition(".")[0] for name in moved})[:10],
    }


def _run(replay: Replay, model: nn.Module, change: Any, seed: int) -> list[Tensor]:
    args, kwargs = replay.inputs(change)
    with torch.no_grad():
        output = replay.forward(model, args, kwargs, False, seed)
    return [t.detach().clone() for t in tensors_in(output) if t.is_floating_point()]


def _other(tensor: Tensor) -> Tensor:
    """Another batch of the same shape and range: samples mixed, values reversed in order."""
    if tensor.is_floating_point():
        return -tensor.flip(0) if tensor.dim() else tensor
    # Values that occur, so that a label or a token stays one that the model knows.
    values, places = torch.unique(tensor, return_inverse=True)
    return values.flip(0)[places]


def _state(model: nn.Module) -> dict[str, Tensor]:
    """Parameters, buffers, and tensors that modules keep in plain attributes."""
    found = dict(model.state_dict(keep_vars=True))
    for name, module in model.named_modules():
        for key, value in vars(module).items():
            if isinstance(value, Tensor):
                found[f"{name}.{key}" if name else key] = value.detach()
    return {name: value.detach() for name, value in found.items() if isinstance(value, Tensor)}


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(torch.equal(a, b))


def _distance(a: list[Tensor], b: list[Tensor]) -> float | None:
    if len(a) != len(b) or any(x.shape != y.shape for x, y in zip(a, b, strict=True)):
        return None
    return max(float((x - y).abs().max().nan_to_num(0.0)) if x.numel() else 0.0 for x, y in zip(a, b, strict=True))
