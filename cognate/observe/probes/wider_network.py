"""Is the model too narrow? A batch that it cannot learn by heart, and that a plain wide network can."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from cognate.observe.probes.overfit_batch import adam_step
from cognate.observe.probes.replay import NotRun, Replay

STEPS = 200
SECONDS = 1.0
# Three times Adam's usual rate: the question is what can be learned at all, not how smoothly.
RATE = 1e-2
WIDTH = 64
# Layers of more units are not asked about: eight numbers hold more than a batch of labels needs.
NARROW = 8
LEARNED = 0.05
JUDGED = ("cross_entropy", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy_with_logits")


def wider_network(replay: Replay) -> dict[str, Any]:
    """Trained a copy and a plain network with 64 hidden units on this one batch, without regularisation, equally long."""
    narrow = {
        name: parameter.shape[0]
        for name, parameter in list(replay.snapshot.module.named_parameters())[:-1]
        if parameter.dim() == 2 and parameter.shape[0] <= NARROW and parameter.requires_grad
    }
    weights = [name for name, parameter in replay.snapshot.module.named_parameters() if parameter.dim() >= 2]
    narrow.pop(weights[-1] if weights else "", None)  # the output's width is the task's
    if not narrow:
        raise NotRun("no hidden layer of the model is narrow")
    floats = [t for t in replay.snapshot.inputs if t.is_floating_point()]
    if replay.loss is None or replay.loss.name not in JUDGED or len(floats) != 1 or len(replay.snapshot.inputs) != 1:
        raise NotRun("the model has not one input of numbers and one loss on its output")
    rows = floats[0].detach().float().flatten(1)
    if rows.shape[0] != replay.loss.scores.shape[0] or rows.numel() == replay.loss.target.numel():
        raise NotRun("the output is not one guess a sample, or it is the input again, and a bottleneck is the point")
    model = replay.copy()
    trainable = [p for p in model.parameters() if p.requires_grad]

    def as_it_is() -> Tensor:
        args, kwargs = replay.inputs()
        return replay.value(replay.scores(model, args, kwargs, False))

    layers, wide = _wide(rows, replay.loss.scores)
    result: dict[str, Any] = {"narrow": narrow, "width": WIDTH}
    result["model"] = _learn(as_it_is, trainable)
    result["wide"] = _learn(lambda: replay.value(wide()), layers)
    return result


def _wide(rows: Tensor, scores: Tensor) -> tuple[list[Tensor], Callable[[], Tensor]]:
    """One hidden layer of ReLUs over standardised inputs, He initialised."""
    torch.manual_seed(0)
    rows = (rows - rows.mean(0)) / rows.std(0, correction=0).clamp_min(1e-6)
    outputs = scores[0].numel()
    first = torch.randn(rows.shape[1], WIDTH, device=rows.device) * (2 / rows.shape[1]) ** 0.5
    second = torch.randn(WIDTH, outputs, device=rows.device) * WIDTH**-0.5
    layers = [t.requires_grad_() for t in (first, second, rows.new_zeros(WIDTH), rows.new_zeros(outputs))]
    return layers, lambda: ((rows @ first + layers[2]).relu() @ second + layers[3]).reshape(scores.shape).to(scores.dtype)


def _learn(loss_of: Callable[[], Tensor], parameters: list[Any]) -> dict[str, Any]:
    moments = [(torch.zeros_like(p), torch.zeros_like(p)) for p in parameters]
    begun, losses = time.perf_counter(), []
    for step in range(1, STEPS + 1):
        loss = loss_of()
        losses.append(float(loss))
        if losses[-1] < LEARNED * losses[0] or time.perf_counter() - begun > SECONDS:
            break
        adam_step(parameters, torch.autograd.grad(loss, parameters, allow_unused=True), moments, step, RATE)
    return {"first": losses[0], "last": min(losses[-3:]), "steps": len(losses)}
