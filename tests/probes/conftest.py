"""One training window, as the recorder sees it, with the probes that follow it: in this process, without global hooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cognate.observe.live.checkpoints import Checkpoints
from cognate.observe.live.facts import tensors_in
from cognate.observe.live.identity import Identity
from cognate.observe.live.losses import OTHER, PAIRED, Losses
from cognate.observe.live.modules import Modules
from cognate.observe.live.recorder import Recorder
from cognate.observe.live.steps import Steps
from cognate.observe.probes.replay import join
from cognate.observe.probes.session import ProbeSession, undisturbed


class Bench:
    """Drives a ProbeSession by hand: forward, loss, backward, and the end of the window."""

    def __init__(self, folder: Path, probe_seconds: float) -> None:
        options = {"probe": "1", "probe_seconds": str(probe_seconds), "roots": ""}
        self.recorder = Recorder(SimpleNamespace(options=options, folder=folder, early=[], waiting=False))
        self.recorder.must_look.clear()
        self.modules = Modules(self.recorder)
        self.inputs: list[Tensor] = []
        self.in_model = False
        self.losses = Losses(self.recorder, lambda: self.inputs, lambda: True, lambda: self.in_model)
        self.losses.install()
        steps = Steps(self.recorder)
        identity = Identity(self.recorder, self.modules, steps, Checkpoints(self.recorder))
        self.session = ProbeSession(self.recorder, self.modules, self.losses, identity)

    def window(self, model: nn.Module, loss_of: Callable[..., Tensor], *args: Any, step: int = 2, **kwargs: Any) -> None:
        """One training step of `model`; probes see it as the window that ends with optimizer step number `step`."""
        self.recorder.step = step - 1
        self.inputs = [t for t in tensors_in((args, kwargs)) if not t.is_floating_point()]
        self.in_model = True
        output = model(*args, **kwargs)
        self.in_model = False
        self.session.forward_done(model, args, kwargs, output)
        loss_of(output).backward()

    def probe(self, probe: Callable[..., dict[str, Any]]) -> dict[str, Any]:
        """What `probe` finds in the window that was just made. Raises NotRun with the reason where it cannot run."""
        replay = join(self.session.snapshots, self.losses)
        assert replay is not None
        with undisturbed(self.modules, self.recorder):
            return probe(replay)

    def results(self) -> dict[str, dict[str, Any]]:
        """Run everything that is due; the last row of each probe, with reasons for those that did not run."""
        self.session.window_over()
        self.session._say_what_did_not_run()
        return {row["probe"]: row for where, row in self.recorder.rows if where == "probes"}


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Bench]:
    for name in (*PAIRED, *OTHER):
        monkeypatch.setattr(F, name, getattr(F, name))  # to have the plain functions back afterwards
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    torch.manual_seed(0)
    return lambda probe_seconds=60.0: Bench(tmp_path, probe_seconds)
