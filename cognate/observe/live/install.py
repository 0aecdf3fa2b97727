"""Puts every hook in place once torch has been imported, and joins the parts.

The training loop as the recorder sees it, each event at the place where it is written:

    optimizer, scheduler, loader                 # constructed
    for every window (what lies between two optimizer steps):
        call loader_iter · batch                 # data
        call zero_grad
        forward                                  # root modules: mode, grad, inputs, outputs
            loss_call                            # also outside the model
        call backward                            # coefficient of each loss is read off here
        call scaler_unscale · clip_grad_norm_
        call step                                # gradients: none, zero, present; carried over from the last window or not
        metrics row · layers row (deep windows) · model.json (at growing intervals)
        call scheduler_step
        print · seed · checkpoint · call train/eval
"""

from __future__ import annotations

import warnings
from typing import Any

import torch

from cognate.observe.live.checkpoints import Checkpoints
from cognate.observe.live.data import Data
from cognate.observe.live.identity import Identity
from cognate.observe.live.losses import Losses
from cognate.observe.live.modules import Modules
from cognate.observe.live.optrace import Tracing
from cognate.observe.live.patch import wrap
from cognate.observe.live.recorder import Recorder, guarded
from cognate.observe.live.schedules import Schedules
from cognate.observe.live.sites import beyond
from cognate.observe.live.steps import Steps
from cognate.observe.probes.session import ProbeSession

MOST_WARNINGS = 50


def install(session: Any) -> Recorder:
    """Install the recorder; called once, at the end of the script's first `import torch`."""
    recorder = Recorder(session)
    modules = Modules(recorder)
    steps = Steps(recorder)
    losses = Losses(recorder, lambda: modules.inputs, lambda: modules.training, lambda: modules.in_model)
    checkpoints = Checkpoints(recorder)
    identity = Identity(recorder, modules, steps, checkpoints)
    tracing = Tracing(recorder, modules)
    probes = ProbeSession(recorder, modules, losses, identity)
    parts = (
        ("modules", modules), ("optimizers", steps), ("losses", losses), ("schedulers", Schedules(recorder)),
        ("data", Data(recorder, modules.listen)), ("checkpoints", checkpoints), ("identity", identity),
    )  # fmt: skip
    for name, part in parts:
        part.install()
        recorder.installed.append(name)
    _join(recorder, modules, steps, losses, tracing, probes, identity)
    wrap(warnings, "showwarning", _observed_warning(recorder))
    return recorder


def _join(
    recorder: Recorder,
    modules: Modules,
    steps: Steps,
    losses: Losses,
    tracing: Tracing,
    probes: ProbeSession,
    identity: Identity,
) -> None:
    def enter(root: Any, args: Any, kwargs: Any) -> None:
        grad = torch.is_grad_enabled()
        if not grad:
            tracing.end()
        if tracing.due and grad:
            identity.name_modules()
            names = identity.parameter_names()
            tracing.begin(root, args, kwargs, names, grad)

    def backward(root: torch.Tensor) -> None:
        tracing.end(root)

    def window_over() -> None:
        tracing.end()
        probes.window_over()
        losses.window_over()

    modules.on_root_enter = enter
    modules.on_root_exit = probes.forward_done
    losses.given = lambda: modules.given
    losses.on_call = lambda grad: None if grad else modules.listen()
    steps.on_backward = backward
    recorder.at_step_end.append(guarded(recorder, "window")(window_over))
    recorder.after_step.append(guarded(recorder, "window")(modules.window_over))


def _observed_warning(recorder: Recorder) -> Any:
    note = guarded(recorder, "warning")(_warned(recorder))

    def make(original: Any) -> Any:
        def show(message: Any, category: Any, filename: str, lineno: int, *args: Any, **kwargs: Any) -> Any:
            filename, lineno = beyond(filename, lineno)
            note(message, category, filename, lineno)
            return original(message, category, filename, lineno, *args, **kwargs)

        return show

    return make


def _warned(recorder: Recorder) -> Any:
    seen: set[str] = set()

    def note(message: Any, category: Any, filename: str, line: int, *args: Any, **kwargs: Any) -> None:
        text = str(message)[:500]
        if text not in seen and len(seen) < MOST_WARNINGS:
            seen.add(text)
            site = recorder.sites.first_party(filename)
            recorder.event("warning", {"file": site, "line": line} if site else None, category=category.__name__, text=text)

    return note
