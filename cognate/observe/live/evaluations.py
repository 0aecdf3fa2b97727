"""Evaluations batch by batch: what each gave and how many samples it held, summed up so that a reported mean can be recomputed.

A phase is a run of root forwards without gradient that no training, no new pass over a loader and no printed line interrupts.
Values stay where they are until the phase is over: a GPU is asked once a phase, not once a batch.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.live import facts
from cognate.observe.live.recorder import Recorder, guarded

MOST_PHASES = 400
# A teacher or a generator runs one batch without gradient in every step; a few tell all there is to tell.
MOST_SINGLE = 100
MOST_BATCHES = 5000
MOST_INNER = 8
# Outputs larger than this are not turned into accuracies: what is left to sum up are the losses.
MOST_SCORES = 2_000_000

Value = tuple[Tensor, int, "Tensor | int"]


class Evaluations:
    """Collects the open phase; writes it down as one event when it is over."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.pass_label: str | None = None
        self.pass_number = 0
        self.labels: Callable[[], Tensor | None] = lambda: None  # of a batch that no forward has used yet
        self.phases = self.single = 0
        self.prints = 0
        self._clear()
        recorder.at_step_end.append(guarded(recorder, "evaluation")(self.over))
        recorder.at_finish.append(guarded(recorder, "evaluation")(self.over))

    def _clear(self) -> None:
        self.rows: list[int] = []
        self.values: dict[tuple[str, str | None, int | None], list[Value]] = {}
        self.phase: dict[str, Any] = {}
        self.inner: list[tuple[tuple[str, str | None, int | None], Tensor, Tensor | int]] = []  # losses of the forward under way

    def pass_begins(self, label: str) -> None:
        """A loader is gone through from its start: another evaluation."""
        self.over()
        self.pass_label, self.pass_number = label, self.pass_number + 1

    def batch(self, batch: Any) -> None:
        """Remember the batch's targets: the last tensor with one entry, or one row, a sample."""
        tensors = facts.tensors_in(batch, 2)
        if len(tensors) >= 2 and tensors[-1].dim() >= 1:
            self.labels = weakref.ref(tensors[-1])

    def forward_done(self, module: nn.Module, output: Any, given: Any) -> None:
        """A root forward returned."""
        target, self.labels = self.labels(), lambda: None
        inner, self.inner = self.inner[:MOST_INNER], []
        if torch.is_grad_enabled():
            self.over()
            return
        if self.phases >= MOST_PHASES or len(self.rows) >= MOST_BATCHES:
            return
        inputs = facts.tensors_in(given)
        size = inputs[0].shape[0] if inputs and inputs[0].dim() else 0
        if not size:
            return
        recorder = self.recorder
        if self.phase and self.prints != recorder.prints:
            self.over()
        if not self.phase:
            self.prints = recorder.prints
            label = f"{recorder.label(module, 'model')} {type(module).__name__}"
            self.phase = {"object": label, "begun": recorder.number, "loader": self.pass_label, "number": self.pass_number}
            self.phase["training"] = module.training
            self.phase["site"] = recorder.sites.here(5)
        self.rows.append(size)
        self.phase["last"] = recorder.number
        for key, value, counted in inner:
            self._keep(key, value, size, counted)
        scores = next(iter(facts.tensors_in(output)), None)
        if target is not None and scores is not None and target.shape[0] == size and scores.device == target.device:
            self._against(scores, target)

    def _against(self, scores: Tensor, target: Tensor) -> None:
        """Accuracy or errors of one batch, from the model's output and the loader's targets."""
        size = target.shape[0]
        if scores.numel() > MOST_SCORES or not scores.is_floating_point():
            return
        if scores.dim() == 2 and scores.shape[0] == size and target.dim() == 1 and not target.is_floating_point():
            self._keep(("accuracy", None, None), (scores.argmax(-1) == target).float().mean(), size, size)
        elif target.is_floating_point() and scores.numel() == target.numel() and scores.shape[0] == size:
            error = scores.reshape(-1).float() - target.reshape(-1).float()
            self._keep(("mae", None, None), error.abs().mean(), size, target.numel())
            self._keep(("mse", None, None), error.square().mean(), size, target.numel())

    def loss(self, name: str, target: Any, result: Tensor, ignore: int, inside: bool) -> None:
        """A loss was computed without gradient."""
        if not isinstance(target, Tensor) or not target.dim() or not (inside or self.rows):
            return
        counted: Tensor | int = target.numel()
        if name in ("cross_entropy", "nll_loss") and not target.is_floating_point():
            counted = (target != ignore).sum()
        site = self.recorder.sites.here(5) or {}
        key, value = (name, site.get("file"), site.get("line")), facts.wide(result.detach()).mean()
        if inside:  # how many samples it was about is known when the forward returns
            self.inner.append((key, value, counted))
        else:
            self._keep(key, value, self.rows[-1], counted)
            self.phase["last"] = self.recorder.number

    def _keep(self, key: tuple[str, str | None, int | None], value: Tensor, rows: int, counted: Tensor | int) -> None:
        kept = self.values.setdefault(key, [])
        if len(kept) < MOST_BATCHES:
            kept.append((value, rows, counted))

    def over(self) -> None:
        """Write the open phase down, if there is one."""
        self.labels = lambda: None
        if not self.phase:
            return
        phase, rows, values = self.phase, self.rows, self.values
        self._clear()
        if len(rows) == 1:
            self.single += 1
            if self.single > MOST_SINGLE:
                return
        self.phases += 1
        site = phase.pop("site")
        sums = [_summed(key, kept) for key, kept in values.items()]
        sizes = {"batches": len(rows), "rows": sum(rows), "first": rows[0], "smallest": min(rows), "largest": max(rows)}
        self.recorder.event("evaluation", site, **phase, **sizes, values=sums)


def _summed(key: tuple[str, str | None, int | None], kept: list[Value]) -> dict[str, Any]:
    """The sums from which every usual mean follows: over batches, over samples, over scored elements, of e^v and √v."""
    values = torch.stack([v.detach().double().cpu() for v, _, _ in kept]).tolist()
    rows = [r for _, r, _ in kept]
    counted = [int(c) for _, _, c in kept]
    name, file, line = key
    facts_: dict[str, Any] = {"fn": name, "file": file, "line": line, "calls": len(values)}
    if not all(math.isfinite(v) for v in values):
        return facts_ | {"finite": False}
    facts_["sum"] = sum(values)
    facts_["rows"], facts_["by_rows"] = sum(rows), sum(v * r for v, r in zip(values, rows, strict=True))
    facts_["counted"], facts_["by_counted"] = sum(counted), sum(v * c for v, c in zip(values, counted, strict=True))
    facts_["exp"] = sum(math.exp(min(v, 700.0)) for v in values)
    facts_["root"] = sum(math.sqrt(max(v, 0.0)) for v in values)
    facts_["squares"] = sum(v * v for v in values)
    return facts_
