"""torchtest2's one call, `check_model`, before the first step of each optimizer, on the batch that the step is about.

It is made again where the model that the optimizer steps for has other parameters than before: a user checks before each phase
of training. torchtest2 restores what it changes, so that the script goes on. A learning rate that a schedule has already put
down for warm-up is raised to what the user set: a user makes the call before the schedule is made.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import seen
import torch
import torchtest2
from tape import Tape, loss_function
from torch import Tensor, nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

_SEVERITY = {"FAIL": "error", "WARN": "warning"}
_MOST = 4  # calls; a script that makes an optimizer an epoch is checked as often as a patient user would


class _Preflight:
    def __init__(self, keep: Callable[[dict[str, Any]], None]) -> None:
        self.keep = keep
        self.depth = [0]
        self.tape = Tape(self.depth)
        self.calls: list[tuple[nn.Module, tuple[Any, ...], dict[str, Any], Any]] = []
        self.loss: Tensor | None = None
        self.checked: list[tuple[torch.optim.Optimizer, list[nn.Parameter]]] = []
        self.busy = False  # torchtest2 calls the model and steps the optimizer, too
        self.found: dict[str, Any] = {"findings": [], "loss": []}

    def called(self, module: nn.Module, args: Any, kwargs: Any, result: Any) -> None:
        if torch.is_grad_enabled() and self.loss is None and not self.busy:
            if not self.calls:
                self.tape.notes.clear()  # what made the data is no way to the loss
            self.calls.append((module, args, kwargs, result))

    def went_backward(self, loss: Tensor) -> None:
        if self.loss is None and not self.busy:
            self.loss = loss

    def steps(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        if self.busy:
            return
        model = seen.model_of(optimizer, [call[0] for call in self.calls])
        if model is not None and self.is_new(optimizer, model):
            self.busy = True
            self.tape.__exit__(None, None, None)
            self.check(model, optimizer)
            self.tape.__enter__()
            self.busy = False
            self.checked.append((optimizer, list(model.parameters())))
        self.calls.clear()
        self.tape.notes.clear()
        self.loss = None

    def is_new(self, optimizer: torch.optim.Optimizer, model: nn.Module) -> bool:
        """Whether this pair, with these very parameters, has not been checked yet."""
        now = [id(one) for one in model.parameters()]
        known = any(optimizer is old and now == [id(one) for one in held] for old, held in self.checked)
        return not known and len(self.checked) < _MOST

    def check(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """The one call, and what it says."""
        calls = [call for call in self.calls if call[0] is model]
        loss_fn, targets = None, None
        chosen = calls[-1]
        for call in reversed(calls):  # the call whose output led to the loss, else the last
            if self.loss is not None and not _own_loss(call[3]):
                loss_fn, targets = loss_function(self.tape, call[3], self.loss)
            if loss_fn is not None:
                chosen = call
                break
        _, args, kwargs, output = chosen
        try:
            with _intended_rates(optimizer):
                report = torchtest2.check_model(
                    model, _inputs(model, args, kwargs), targets, loss_fn=loss_fn, optimizer=optimizer
                )
        except Exception as error:
            self.found["error"] = f"{type(error).__name__}: {error}"
        else:
            self.found["findings"] += [[_id(one), _SEVERITY[one.status.name]] for one in (*report.failures, *report.warnings)]
            self.found["loss"].append("the model's" if _own_loss(output) else "given" if loss_fn is not None else "none")
        self.keep(self.found)


@contextlib.contextmanager
def _intended_rates(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    rates = [group["lr"] for group in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["lr"] = group.get("initial_lr", group["lr"])
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate


def _inputs(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if not kwargs:
        return args[0] if len(args) == 1 and isinstance(args[0], Tensor) else args
    return dict(inspect.signature(module.forward).bind(*args, **kwargs).arguments) if args else kwargs


def _own_loss(output: Any) -> bool:
    loss = output.get("loss") if isinstance(output, dict) else getattr(output, "loss", None)
    return isinstance(loss, Tensor)


def _id(result: Any) -> str:
    """The check's name, with what its `details` tell apart."""
    if result.name == "optimizer_coverage" and (result.details or {}).get("foreign"):
        return "optimizer_coverage/foreign"
    return f"{result.name}/{result.status.name.lower()}"


_preflight: _Preflight


def install(keep: Callable[[dict[str, Any]], None], folder: Path) -> None:
    """Watch for the first optimizer step."""
    global _preflight
    _preflight = _Preflight(keep)
    seen.on_call(_preflight.called, _preflight.depth)
    seen.on_backward(_preflight.went_backward)
    register_optimizer_step_pre_hook(_preflight.steps)
    _preflight.tape.__enter__()


def end() -> None:
    """The script ended without an optimizer step: nothing to check."""
    with contextlib.suppress(Exception):
        _preflight.tape.__exit__(None, None, None)
