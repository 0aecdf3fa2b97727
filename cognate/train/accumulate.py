"""The gradient of an effective batch, from micro-batches of unequal token counts on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from cognate.train.distributed import Group
from cognate.train.options import TrainOptions
from cognate.train.protocols import Task

Scored = tuple[Tensor, dict[str, Tensor]]


class Objective(nn.Module):
    """The task's loss as the forward pass of one module: DistributedDataParallel wraps it, and the task sees the bare model."""

    def __init__(self, model: nn.Module, task: Task) -> None:
        super().__init__()
        self.model = model
        self.task = task

    def forward(self, batch: Any) -> Scored:
        """The sums of `Task.loss`."""
        return self.task.loss(self.model, batch)


class Gradient:
    """Adds up gradients so that they equal those of the one big batch.

    Each micro-batch's loss is its sum over scored tokens divided by the scored tokens of the whole effective batch, on all
    processes. A mean for each micro-batch would weigh a token in a short one more than a token in a long one.
    """

    def __init__(self, model: nn.Module, task: Task, options: TrainOptions, group: Group) -> None:
        self._score: Callable[[Any], Scored] = lambda batch: task.loss(model, batch)
        self._hold: Callable[[], AbstractContextManager[None]] = nullcontext
        if group.world > 1:
            wrapped = group.wrap(Objective(model, task))
            self._score, self._hold = wrapped, wrapped.no_sync
        self._group = group
        self._half = options.precision == "bf16"

    def autocast(self) -> AbstractContextManager[None]:
        """The precision that forward passes run in: bf16 where it was asked for."""
        return torch.autocast(self._group.device.type, dtype=torch.bfloat16) if self._half else nullcontext()

    def add(self, batches: Sequence[Any], tokens: int) -> Scored:
        """Backpropagate `batches` of an effective batch with `tokens` scored tokens; this process's sums over the batches."""
        # DistributedDataParallel averages over the processes, and the sum is wanted. Without a scored token all losses are 0.
        scale = self._group.world / max(1, tokens)
        if len(batches) == 1:
            return self._one(batches[0], scale)
        with self._hold():  # gradients travel once, with the last micro-batch
            sums = add_up(self._one(batch, scale) for batch in batches[:-1])
        return add_up((sums, self._one(batches[-1], scale)))

    def _one(self, batch: Any, scale: float) -> Scored:
        if self._group.device.type != "cpu":
            batch = batch.to(self._group.device)
        if self._half:
            with self.autocast():
                loss, statistics = self._score(batch)
        else:
            loss, statistics = self._score(batch)
        (loss * scale).backward()
        return loss.detach(), statistics


def add_up(parts: Iterable[Scored]) -> Scored:
    """The sums of several batches, added."""
    loss: Tensor | None = None
    statistics: dict[str, Tensor] = {}
    for more, values in parts:
        loss = more if loss is None else loss + more
        for name, value in values.items():
            statistics[name] = statistics[name] + value if name in statistics else value
    assert loss is not None, "an effective batch has at least one micro-batch"
    return loss, statistics
