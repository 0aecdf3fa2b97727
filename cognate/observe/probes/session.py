"""When probes run, and what they must leave untouched: everything.

Early probes run once after the second step, when zero-initialised parts have moved; later ones again at growing intervals,
because what a trained model does (does it use its input?) an untrained one cannot show. Before the first probe the random
states are saved, the recorder is deaf; afterwards all is restored.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from cognate.observe.live.facts import tensors_in
from cognate.observe.live.identity import Identity
from cognate.observe.live.losses import Losses
from cognate.observe.live.modules import Modules
from cognate.observe.live.recorder import Recorder, guarded
from cognate.observe.probes.batch_independence import batch_independence
from cognate.observe.probes.causality import causality
from cognate.observe.probes.determinism import determinism
from cognate.observe.probes.evaluation_call import Called, call_of, evaluation_call
from cognate.observe.probes.first_loss import first_loss
from cognate.observe.probes.gradient_reach import gradient_reach
from cognate.observe.probes.input_dependence import input_dependence
from cognate.observe.probes.lr_range import lr_range
from cognate.observe.probes.mode_gap import mode_gap
from cognate.observe.probes.overfit_batch import overfit_batch
from cognate.observe.probes.packing import packing
from cognate.observe.probes.padding_influence import padding_influence
from cognate.observe.probes.precision import precision
from cognate.observe.probes.replay import NotRun, Replay, Snapshot, join, map_tensors
from cognate.observe.probes.small_step import small_step
from cognate.observe.probes.wider_network import wider_network

Probe = Callable[[Replay], "dict[str, Any]"]
EARLY: tuple[Probe, ...] = (
    causality,
    batch_independence,
    determinism,
    gradient_reach,
    small_step,
    padding_influence,
    packing,
    precision,
)
LATE: tuple[Probe, ...] = (input_dependence, mode_gap, evaluation_call)
ONCE_LATE: tuple[Probe, ...] = (overfit_batch, wider_network)
# Early, where a rate that is too high has not yet wrecked the weights; again where a warm-up is over, and for a new optimizer.
TWICE: tuple[Probe, ...] = (lr_range,)
ONCE_LATE_FROM = 40
# Steps after which probes run.
SCHEDULE = (2, 10, 40, 100, 200, 400, 1000, 3000, 10_000, 100_000)
SEED = 0
MOST_FORWARDS = 4


class ProbeSession:
    """Takes the material during a window that is due, experiments when it is over."""

    def __init__(self, recorder: Recorder, modules: Modules, losses: Losses, identity: Identity) -> None:
        self.recorder, self.modules, self.losses, self.identity = recorder, modules, losses, identity
        self.snapshots: list[Snapshot] = []
        self.due = list(SCHEDULE)
        self.done: set[str] = set()
        self.late = False
        self.tried: set[str] = set()  # optimizers that the experiments about optimizers were made with
        self.reasons: dict[str, str] = {}
        self.first_loss_done = False
        self.evaluated: dict[str, tuple[int, Called]] = {}  # by root: the step of its latest evaluation, and how it was called
        # A window that probes need is looked at closely whatever the budget says.
        recorder.must_look |= {step - 1 for step in SCHEDULE}
        recorder.at_finish.append(guarded(recorder, "probes")(self._say_what_did_not_run))

    @property
    def wanted(self) -> bool:
        """Whether the open window ends with probes."""
        recorder = self.recorder
        return bool(self.due) and recorder.step + 1 >= self.due[0] and recorder.probe_spent < recorder.probe_seconds

    def forward_done(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Keep a training forward of a window that is due; if the window is not close, make it so first."""
        if not torch.is_grad_enabled():
            self._evaluated(module, args, kwargs)
        if not self.wanted or not torch.is_grad_enabled() or len(self.snapshots) >= MOST_FORWARDS:
            return
        if next(module.parameters(), None) is not None:
            args, kwargs = map_tensors((args, kwargs), lambda t: t.clone())
            self.snapshots.append(Snapshot(module, args, kwargs, output, SEED, _autocast(output)))

    def _evaluated(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Keep how an evaluation calls the model: the first forward without gradient of a window."""
        label, step = self.recorder.label(module, "model"), self.recorder.step
        if self.due and self.recorder.probe_seconds > 0 and self.evaluated.get(label, (-1, None))[0] != step:
            self.evaluated[label] = (step, call_of(module, args, kwargs))

    def window_over(self) -> None:
        """Run what is due on this window's material."""
        snapshots, self.snapshots = self.snapshots, []
        if not self.first_loss_done and self.losses.kept:
            self.first_loss_done = True
            nothing = Replay(Snapshot(nn.Module(), (), {}, None), self.losses, self.losses.kept[0])
            self._run(first_loss, join(snapshots, self.losses) or nothing)
        if not snapshots or not self.wanted:
            return
        step = self.recorder.step + 1
        self.due = [s for s in self.due if s > step]
        replay = join(snapshots, self.losses)
        if replay is None:
            return
        root = self.recorder.label(replay.snapshot.module, "model")
        replay.evaluated = self.evaluated[root][1] if root in self.evaluated else None
        replay.optimizer, replay.clip = self._optimizer()
        once = EARLY + TWICE + (ONCE_LATE if step >= ONCE_LATE_FROM else ())
        label = self.recorder.label(replay.optimizer, "optimizer") if replay.optimizer is not None else ""
        again = TWICE if step >= ONCE_LATE_FROM and (not self.late or label not in self.tried) else ()
        self.tried.add(label)
        self.late = self.late or step >= ONCE_LATE_FROM
        for probe in (*[p for p in once if p.__name__ not in self.done and p not in again], *LATE, *again):
            if self.recorder.probe_spent >= self.recorder.probe_seconds:
                self.reasons.setdefault(probe.__name__, "the time for probes (--probe-seconds) was used up")
                continue
            self._run(probe, replay)

    def _optimizer(self) -> tuple[torch.optim.Optimizer | None, tuple[float, bool] | None]:
        """The optimizer whose step ends this window, and the limit that its gradients were clipped to."""
        steps = self.identity.steps
        row = steps.pending[-1][0] if steps.pending else {}
        stepped = [o for o in steps.optimizers if self.recorder.label(o, "optimizer") == row.get("optimizer")]
        clip = (float(row["clip"]), bool(row.get("clip_value"))) if row.get("clip") is not None else None
        return (stepped[0] if stepped else None), clip

    def _run(self, probe: Probe, replay: Replay) -> None:
        name = probe.__name__
        begun = time.process_time()
        row: dict[str, Any] = {"probe": name, "step": self.recorder.step + 1, "seed": SEED}
        row["module"] = type(replay.snapshot.module).__name__
        try:
            with undisturbed(self.modules, self.recorder):
                row["did"] = (probe.__doc__ or "").splitlines()[0]
                row["result"] = probe(replay)
                row["status"] = "ok"
                self.done.add(name)
        except NotRun as reason:
            self.reasons[name] = str(reason)
            return
        except Exception as error:
            self.reasons[name] = f"it failed on this model ({type(error).__name__}: {str(error)[:200]})"
            return
        finally:
            row["seconds"] = round(time.process_time() - begun, 4)
            self.recorder.probe_spent += row["seconds"]
        self.recorder.add("probes", row)

    def _say_what_did_not_run(self) -> None:
        off = self.recorder.probe_seconds <= 0
        for probe in (first_loss, *EARLY, *TWICE, *LATE, *ONCE_LATE):
            name = probe.__name__
            if name in self.done:
                continue
            reason = (self.recorder.no_probes or "probes were turned off") if off else self.reasons.get(name)
            reason = reason or self._never_due(probe)
            self.recorder.add("probes", {"probe": name, "step": self.recorder.step, "status": "not_run", "reason": reason})

    def _never_due(self, probe: Probe) -> str:
        if probe in ONCE_LATE and self.done:
            return f"it waits for {ONCE_LATE_FROM} steps, and the run made {self.recorder.step}"
        return "no training step with a model was seen"


def _autocast(output: Any) -> tuple[str, torch.dtype] | None:
    device = next((t.device.type for t in tensors_in(output)), "cpu")
    return (device, torch.get_autocast_dtype(device)) if torch.is_autocast_enabled(device) else None


@contextmanager
def undisturbed(modules: Modules, recorder: Recorder) -> Iterator[None]:
    """Make the recorder deaf, and restore every random state, grad mode and RNG of the process afterwards."""
    cpu = torch.get_rng_state()
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else None
    python = random.getstate()
    numpy = sys.modules.get("numpy")
    numbers = numpy.random.get_state() if numpy is not None and hasattr(numpy, "random") else None
    listening, alive = bool(modules.handles), recorder.alive
    modules.quiet()
    recorder.alive = False
    show, warnings.showwarning = warnings.showwarning, lambda *args, **kwargs: None
    writers = _silenced()
    try:
        with torch.enable_grad():
            yield
    finally:
        for stream, write in writers:
            stream.write = write
        warnings.showwarning = show
        torch.set_rng_state(cpu)  # while the recorder is still deaf: this restores nothing of the script's
        if cuda is not None:
            torch.cuda.set_rng_state_all(cuda)
        random.setstate(python)
        if numpy is not None and numbers is not None:
            numpy.random.set_state(numbers)
        recorder.alive = alive
        if listening:
            modules.listen()


def _silenced() -> list[tuple[Any, Any]]:
    """Stop what a copy's forward may print; returns the streams with the `write` to give back to them."""
    writers = []
    for stream in {id(s): s for s in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__) if s is not None}.values():
        try:
            write, stream.write = stream.write, len  # type: ignore[method-assign]
        except AttributeError:
            continue
        writers.append((stream, write))
    return writers
