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
from cognate.observe.live.compiled import Compiled
from cognate.observe.live.data import Data
from cognate.observe.live.evaluations import Evaluations
from cognate.observe.live.identity import Identity
from cognate.observe.live.losses import Losses
from cognate.observe.live.modules import Modules
from cognate.observe.live.onset import Onset
from cognate.observe.live.optrace import Tracing
from cognate.observe.live.patch import wrap
from cognate.observe.live.ranks import Ranks
from cognate.observe.live.recorder import Recorder, guarded, timed
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
    onset = Onset(recorder, identity.parameter_names)
    probes = ProbeSession(recorder, modules, losses, identity)
    data = Data(recorder, modules.listen)
    parts = (
        ("modules", modules), ("optimizers", steps), ("losses", losses), ("schedulers", Schedules(recorder)),
        ("data", data), ("checkpoints", checkpoints), ("identity", identity), ("onset", onset),
        ("ranks", Ranks(recorder, session, modules)), ("compile", Compiled(recorder)),
    )  # fmt: skip
    for name, part in parts:
        part.install()
        recorder.installed.append(name)
    _join(recorder, modules, steps, losses, tracing, probes, identity, onset)
    _join_evaluations(Evaluations(recorder), modules, losses, data)
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
    onset: Onset,
) -> None:
    def enter(root: Any, args: Any, kwargs: Any) -> None:
        grad = torch.is_grad_enabled()
        if not grad:
            tracing.end()
        if tracing.due and grad:
            identity.name_modules()
            names = identity.parameter_names()
            tracing.begin(root, args, kwargs, names, grad)

    finite = timed(recorder)(onset.backward)

    def backward(root: torch.Tensor) -> None:
        tracing.end(root)
        if not finite(root):
            tracing.keep_first()

    def bad_gradients(norms: torch.Tensor, parameters: list[torch.Tensor]) -> None:
        names = identity.parameter_names()
        onset.gradients(norms, [names.get(id(p), "?") for p in parameters])
        tracing.keep_first()

    def window_over() -> None:
        tracing.end()
        tracing.first = None
        probes.window_over()
        losses.window_over()

    modules.on_root_enter = enter
    modules.on_root_exit = probes.forward_done
    losses.given = lambda: modules.given
    losses.on_call = lambda grad: None if grad else modules.listen()
    steps.on_backward = backward
    steps.on_bad_gradients = guarded(recorder, "onset")(bad_gradients)
    recorder.at_step_end.append(guarded(recorder, "window")(window_over))
    recorder.after_step.append(guarded(recorder, "window")(modules.window_over))


def _join_evaluations(evaluations: Evaluations, modules: Modules, losses: Losses, data: Data) -> None:
    recorder, before = evaluations.recorder, modules.on_root_exit
    note = guarded(recorder, "evaluation")(timed(recorder)(evaluations.forward_done))
    batch = guarded(recorder, "evaluation")(evaluations.batch)

    def forward_done(module: Any, args: Any, kwargs: Any, output: Any) -> None:
        note(module, output, (args, kwargs))
        before(module, args, kwargs, output)

    modules.on_root_exit = forward_done
    losses.on_evaluation = guarded(recorder, "evaluation")(timed(recorder)(evaluations.loss))
    data.on_pass = guarded(recorder, "evaluation")(timed(recorder)(evaluations.pass_begins))
    data.on_batch = lambda given: batch(given) if modules.handles else None


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
