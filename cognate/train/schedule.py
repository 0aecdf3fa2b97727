"""Linear warm-up, then a cosine, counted in optimizer steps."""

from __future__ import annotations

import math

import torch
from torch.optim.lr_scheduler import LambdaLR


def factor(step: int, *, steps: int, warmup: int, floor: float) -> float:
    """The share of the peak learning rate that optimizer step `step` (counted from 0) uses.

    It rises linearly to 1 at the last of the `warmup` steps and falls along half a cosine to `floor`, which the last of `steps`
    reaches and every later one keeps (cosine annealing: Loshchilov and Hutter, 2017, arXiv:1608.03983; without restarts).
    """
    if step < warmup:
        return (step + 1) / warmup
    progress = min(1.0, (step + 1 - warmup) / max(1, steps - warmup))
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))


def schedule(optimizer: torch.optim.Optimizer, done: int, *, steps: int, warmup: int, floor: float) -> LambdaLR:
    """A scheduler of `optimizer` after `done` steps. The rate is a function of the step alone: nothing else is to be restored."""
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]  # LambdaLR asks for it where a run does not begin at its beginning
    return LambdaLR(optimizer, lambda step: factor(step, steps=steps, warmup=warmup, floor=floor), last_epoch=done - 1)
