"""Is the model evaluated as it is trained? The same batch, by the arguments and settings of training and of evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.probes.replay import NotRun, Replay

Plain = (bool, int, float, str, type(None))
ABSENT = "not given"


@dataclass
class Called:
    """How a module was called: its arguments without tensors, and the numbers and flags that its parts hold."""

    args: list[Any]  # None stands for a tensor
    kwargs: dict[str, Any]
    settings: dict[str, Any]


def call_of(module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Called:
    """Describe a call of `module`."""
    plain = [value if isinstance(value, Plain) else Tensor for value in args]
    given = {key: value for key, value in kwargs.items() if isinstance(value, Plain)}
    return Called(plain, given, settings_of(module))


def settings_of(module: nn.Module) -> dict[str, Any]:
    """Public numbers, flags and words on the parts of `module`, by dotted name; the mode itself left out."""
    return {
        f"{name}.{key}" if name else key: value
        for name, part in module.named_modules()
        for key, value in vars(part).items()
        if isinstance(value, Plain) and not key.startswith("_") and key != "training"
    }


def evaluation_call(replay: Replay) -> dict[str, Any]:
    """Measured the loss of one batch as training calls the model, and as the evaluation does."""
    evaluated: Called | None = replay.evaluated
    if evaluated is None:
        raise NotRun("no evaluation of the model was seen before a training step")
    snapshot = replay.snapshot
    trained = call_of(snapshot.module, snapshot.args, snapshot.kwargs)
    arguments = _changed_arguments(trained, evaluated)
    settings = {k: v for k, v in evaluated.settings.items() if k in trained.settings and trained.settings[k] != v}
    by_mode = not arguments and not settings  # then only the model itself can make a difference, by its mode
    losses, calls = [], []
    for as_evaluated in (False, True):
        model = replay.copy()
        args, kwargs = replay.inputs()
        if as_evaluated:
            args, kwargs = _as_evaluated(args, kwargs, evaluated)
            for name, value in settings.items():
                part, _, key = name.rpartition(".")
                setattr(model.get_submodule(part), key, value)
        counts = _count(model)
        with torch.no_grad():
            losses.append(float(replay.value(replay.scores(model, args, kwargs, by_mode and not as_evaluated))))
        calls.append(dict(counts))
    if by_mode and calls[0] == calls[1]:
        raise NotRun("training and evaluation call the model alike")
    differs = [{"name": name, "training": a, "evaluation": b} for name, (a, b) in sorted(arguments.items())]
    differs += [{"name": k, "training": trained.settings[k], "evaluation": v} for k, v in sorted(settings.items())]
    names = [name for name in calls[0] if calls[1].get(name, 0) != calls[0][name]][:8]
    depth = {name: [calls[0][name], calls[1].get(name, 0)] for name in names}
    return {"training": losses[0], "evaluation": losses[1], "by_mode": by_mode, "differs": differs[:8], "calls": depth}


def _changed_arguments(trained: Called, evaluated: Called) -> dict[str, tuple[Any, Any]]:
    """Arguments without tensors that are not the same: name or position -> as in training, as in evaluation."""
    changed: dict[str, tuple[Any, Any]] = {}
    for index in range(max(len(trained.args), len(evaluated.args))):
        a, b = (call.args[index] if index < len(call.args) else ABSENT for call in (trained, evaluated))
        if a is not Tensor and b is not Tensor and a != b:
            changed[f"argument {index + 1}"] = (a, b)
    for key in trained.kwargs.keys() | evaluated.kwargs.keys():
        a, b = trained.kwargs.get(key, ABSENT), evaluated.kwargs.get(key, ABSENT)
        if a != b:
            changed[key] = (a, b)
    return changed


def _as_evaluated(args: Any, kwargs: Any, evaluated: Called) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The tensors of training, everything else as evaluation gave it."""
    kept = {key: value for key, value in kwargs.items() if not isinstance(value, Plain)}
    given = list(args[: len(evaluated.args)]) if len(evaluated.args) <= len(args) else list(args)
    if any(isinstance(value, Tensor) for value in args[len(given) :]):
        raise NotRun("evaluation gives the model fewer tensors than training does")
    for index, value in enumerate(evaluated.args):
        if index >= len(given):
            if value is Tensor:
                raise NotRun("evaluation gives the model more tensors than training does")
            given.append(value)
        elif value is not Tensor and not isinstance(given[index], Tensor):
            given[index] = value
    return tuple(given), kept | evaluated.kwargs


def _count(model: nn.Module) -> dict[str, int]:
    """Counts, filled as `model` runs: how often each part with parameters is called."""
    counts: dict[str, int] = {}
    for name, part in model.named_modules():
        if name and next(part.parameters(), None) is not None:

            def called(module: nn.Module, given: Any, name: str = name) -> None:
                counts[name] = counts.get(name, 0) + 1

            part.register_forward_pre_hook(called)
    return counts
