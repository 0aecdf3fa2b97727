"""One optimizer step: gradient, clipping, optimizers, schedules."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cognate.errors import CognateError
from cognate.train.accumulate import Gradient, Scored
from cognate.train.checkpoint import pointed_at
from cognate.train.distributed import Group
from cognate.train.options import TrainOptions
from cognate.train.protocols import Task
from cognate.train.schedule import schedule
from cognate.train.tensors import Optimizers


class DivergedError(CognateError):
    """A gradient is not finite: to go on would be to train on nothing."""


class Update:
    """What changes the weights, after `done` steps of the run in the folder `run`."""

    def __init__(
        self, model: nn.Module, task: Task, options: TrainOptions, group: Group, optimizers: Optimizers, done: int, run: Path
    ) -> None:
        self.gradient = Gradient(model, task, options, group)
        self._parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self._limit = math.inf if options.clip_norm is None else options.clip_norm
        self._optimizers = list(optimizers.values())
        self._schedules = [
            schedule(optimizer, done, steps=options.steps, warmup=options.warmup, floor=options.min_lr_ratio)
            for optimizer in self._optimizers
        ]
        model.zero_grad()  # what the caller tried out before is no part of the first step
        self._step, self._run = done, run
        self._unchecked: list[Tensor] = []  # norms of the last steps, where reading one means waiting for a GPU
        self._waits = group.device.type != "cpu"

    def take(self, batches: Sequence[Any], tokens: int) -> tuple[Scored, Tensor]:
        """One step; this process's sums over `batches`, and the global norm of the gradients before they were clipped.

        Raises DivergedError, where the norm is at hand at once, before a weight was touched.
        """
        sums = self.gradient.add(batches, tokens)
        norm: Tensor = nn.utils.clip_grad_norm_(self._parameters, self._limit)
        self._step += 1
        if self._waits:
            self._unchecked.append(norm)
        elif not math.isfinite(norm.item()):
            raise self._diverged(self._step, norm.item())
        for optimizer in self._optimizers:
            optimizer.step()
        for scheduler in self._schedules:
            scheduler.step()
        for optimizer in self._optimizers:
            optimizer.zero_grad()
        return sums, norm

    def check(self) -> None:
        """Raise DivergedError where the norm of a step since the last check was not finite: before anything is saved."""
        if not self._unchecked:
            return
        norms = torch.stack(self._unchecked).tolist()
        self._unchecked.clear()
        for step, norm in enumerate(norms, start=self._step + 1 - len(norms)):
            if not math.isfinite(norm):
                raise self._diverged(step, norm)

    @property
    def learning_rate(self) -> float:
        """The rate that the last step used, of the first optimizer."""
        scheduler = self._schedules[0]
        return float(scheduler.base_lrs[0] * scheduler.lr_lambdas[0](self._step - 1))

    def _diverged(self, step: int, norm: float) -> DivergedError:
        last = pointed_at(self._run, "last")
        back = f"go on from {last.name}, the last good checkpoint, with --resume {last}" if last else "start again"
        return DivergedError(
            f"The gradient norm of step {step} is {norm}, so the run stopped without saving: "
            f"{back}, with a lower learning rate or without the rows that cause it."
        )
