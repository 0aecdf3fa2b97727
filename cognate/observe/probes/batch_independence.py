"""Does one sample's output depend on its neighbours in the batch?"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cognate.observe.live.facts import tensors_in
from cognate.observe.probes.leaks import mixing_modules
from cognate.observe.probes.replay import NotRun, Replay


def batch_independence(replay: Replay) -> dict[str, Any]:
    """Replaced one sample of the batch by another, in evaluation mode, and compared the outputs of all the others."""
    size = _batch_size(replay)
    model = replay.copy()
    args, kwargs = replay.inputs()
    base = _outputs(replay.forward(model, args, kwargs, False), size)
    if not base:
        raise NotRun("no output of the model has one row per sample")
    if any(size in t.shape[1:] for t in base):
        _forbid_comparison(replay, base, size)
    # One in the middle: a model that runs over the batch as if it were time moves only the samples behind it.
    changed_sample = size // 2

    def change(x: Tensor) -> Tensor:
        if x.dim() > 0 and x.shape[0] == size:
            x[changed_sample] = x[(changed_sample + 1) % size].clone()
            if x.is_floating_point():
                x[changed_sample] = x[changed_sample] + 0.5 * x.std().nan_to_num(1.0)
        return x

    model = replay.copy()
    args, kwargs = replay.inputs(change)
    other = _outputs(replay.forward(model, args, kwargs, False), size)
    moved = [(a - b).abs().reshape(size, -1).amax(1) for a, b in zip(base, other, strict=True) if a.shape == b.shape]
    if not moved:
        raise NotRun("the model's output changes its shape with its input")
    worst = torch.stack(moved).amax(0)
    scale = max(float(a.float().std()) for a in base)
    neighbours = torch.cat([worst[:changed_sample], worst[changed_sample + 1 :]])
    own = float(worst[changed_sample])
    # Mixing may hide what it mixes: an output that is the same for every sample moves in none.
    inside = _inside(replay, change, size, changed_sample) if own == 0.0 and not bool(neighbours.any()) else []
    return {
        "inside": inside,
        "batch": size,
        "others": float(neighbours.max()),
        "own": own,
        "scale": scale,
        "samples_moved": int((neighbours > 1e-5 * max(scale, 1e-6)).sum()),
        "inputs": [list(t.shape) for t in replay.snapshot.inputs[:4]],
    }


def _batch_size(replay: Replay) -> int:
    """The batch size, where it is certain that it lies in dimension 0: the targets have it too."""
    inputs = [t for t in replay.snapshot.inputs if t.dim() > 0]
    if not inputs:
        raise NotRun("the model takes no tensor with a batch dimension")
    size = inputs[0].shape[0]
    if size < 2:
        raise NotRun("the batch holds one sample")
    if replay.loss is None:
        raise NotRun("no torch.nn.functional loss tells which dimension is the batch")
    target = replay.loss.target
    rows = target.shape[0] if target.dim() else 0
    ambiguous = inputs[0].dim() > 1 and inputs[0].shape[1] == size
    if rows != size and (rows == 0 or rows % size != 0 or (inputs[0].dim() > 1 and rows % inputs[0].shape[1] == 0)):
        flat = inputs[0].dim() > 1 and rows == size * inputs[0].shape[1] and replay.view_name.startswith(("rows", "shifted"))
        if not flat:
            raise NotRun("the targets do not tell which dimension is the batch")
    if ambiguous:
        raise NotRun("batch and next dimension have the same size, so which is which cannot be told")
    return size


def _inside(replay: Replay, change: Any, size: int, sample: int) -> list[dict[str, Any]]:
    model = replay.copy()

    def run(changed: bool) -> Any:
        args, kwargs = replay.inputs(change if changed else None)
        return replay.forward(model, args, kwargs, False)

    return mixing_modules(model, lambda: run(False), lambda: run(True), size, sample)


def _forbid_comparison(replay: Replay, base: list[Tensor], size: int) -> None:
    """Raise NotRun where the output has a column a sample, as the similarities of a contrastive model: it is to compare them."""
    args, kwargs = replay.inputs(lambda x: x[:-1] if x.dim() > 0 and x.shape[0] == size else x)
    smaller = _outputs(replay.forward(replay.copy(), args, kwargs, False), size - 1)
    if any(a.shape[1:] != b.shape[1:] for a, b in zip(base, smaller, strict=False)):
        raise NotRun("the model compares the samples of a batch with each other: its output has a column for each of them")


def _outputs(output: Any, size: int) -> list[Tensor]:
    tensors = [t.detach() for t in tensors_in(output) if t.is_floating_point() and t.dim() > 0]
    return [t for t in tensors if t.shape[0] == size]
