"""Can the model, with this loss, learn one batch by heart? (Karpathy's recipe: overfit one batch.)"""

from __future__ import annotations

import time
from typing import Any

import torch

from cognate.observe.probes.replay import NotRun, Replay

STEPS = 60
SECONDS = 1.5
# Adam's usual rate: small nets learn a batch by heart with it in tens of steps, large ones get most of the way.
RATE = 3e-3


def overfit_batch(replay: Replay) -> dict[str, Any]:
    """Trained a copy on this one batch with Adam and measured how far the loss falls when the data cannot be the obstacle."""
    model = replay.copy()
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise NotRun("the model has no trainable parameter")
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    begun, losses = time.perf_counter(), []
    for step in range(1, STEPS + 1):
        args, kwargs = replay.inputs()
        loss = replay.value(replay.scores(model, args, kwargs, True))
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        losses.append(float(loss))
        adam_step(parameters, gradients, moments, step, RATE)
        if time.perf_counter() - begun > SECONDS:
            break
    return {"first": losses[0], "last": min(losses[-3:]), "steps": len(losses), "wanted_steps": STEPS}


def adam_step(parameters: Any, gradients: Any, moments: Any, step: int, rate: float) -> None:
    """One step of Adam (Kingma & Ba 2015) by hand: constructing torch's optimizer would be seen by the user's hooks."""
    with torch.no_grad():
        for parameter, gradient, (first, second) in zip(parameters, gradients, moments, strict=True):
            if gradient is None:
                continue
            first.mul_(0.9).add_(gradient, alpha=0.1)
            second.mul_(0.999).addcmul_(gradient, gradient, value=0.001)
            size = second.div(1 - 0.999**step).sqrt_().add_(1e-8)
            parameter.addcdiv_(first / (1 - 0.9**step), size, value=-rate)
