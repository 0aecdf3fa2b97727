"""gradsnitch in its documented form: `watch(model, optimizer)`, `log` after backward, `report` at the end.

Trainers of Transformers and Lightning get the callbacks of `gradsnitch.integrations` instead, as its README says.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradsnitch
import seen
import torch
from gradsnitch import integrations
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

_monitors: list[Any] = []
_keep: Callable[[dict[str, Any]], None]


class _Loop:
    """A hand-written loop: one monitor, on the optimizer that steps first."""

    def __init__(self) -> None:
        self.roots: dict[int, nn.Module] = {}
        self.optimizer: torch.optim.Optimizer | None = None
        self.monitor: Any = None
        self.loss = math.nan
        self.validation: list[float] = []
        self.step = 0

    def called(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        self.roots.setdefault(id(module), module)

    def went_backward(self, loss: Tensor) -> None:
        if loss.numel() == 1:
            self.loss = loss.item()

    def computed(self, value: Tensor) -> None:
        # What a user passes as val_loss: a loss computed without gradients between two steps.
        if self.monitor is not None and value.numel() == 1 and not torch.is_grad_enabled():
            self.validation.append(value.item())

    def steps(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self.monitor is None:
            self.optimizer = optimizer
            self.monitor = gradsnitch.watch(seen.model_of(optimizer, list(self.roots.values())), optimizer)
            _monitors.append(self.monitor)
        if optimizer is self.optimizer:
            held_out = sum(self.validation) / len(self.validation) if self.validation else None
            self.monitor.log(self.step, self.loss, val_loss=held_out)
            self.validation.clear()
            self.step += 1


def install(keep: Callable[[dict[str, Any]], None], folder: Path) -> None:
    """Attach to whatever the script trains with."""
    global _keep
    _keep = keep
    text = "\n".join(path.read_text(errors="replace") for path in folder.rglob("*.py"))
    if "lightning" in text and "Trainer(" in text:
        from lightning.pytorch import Trainer

        _with_callback(Trainer, integrations.lightning, lambda trainer, callback: trainer.callbacks.append(callback))
    elif "transformers" in text and "Trainer(" in text and "TrainingArguments" in text:
        from transformers import Trainer as HfTrainer

        _with_callback(HfTrainer, integrations.hf, lambda trainer, callback: trainer.add_callback(callback))
    else:
        loop = _Loop()
        seen.on_call(loop.called, [0])
        seen.on_backward(loop.went_backward)
        seen.on_loss(loop.computed)
        register_optimizer_step_pre_hook(loop.steps)


def end() -> None:
    """Report, as at the end of the user's script."""
    if _monitors:
        findings = [finding for monitor in _monitors for finding in monitor.report()]
        _keep({"findings": [[finding.code, finding.severity] for finding in findings]})


def _with_callback(trainer: Any, make: Callable[[], Any], add: Callable[[Any, Any], None]) -> None:
    original = trainer.__init__

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        callback = make()
        _monitors.append(callback.monitor)
        add(self, callback)

    trainer.__init__ = __init__
