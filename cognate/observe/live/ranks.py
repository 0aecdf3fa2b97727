"""Several ranks: each records a part of its own, and at fixed steps what must and what must not be equal among them.

A process becomes a rank when it has joined a process group of two or more: a child that torch.multiprocessing forked or
spawned, one that torchrun started, or the script itself. Nothing here communicates, and whatever could (a sharded tensor, an
experiment on a copy of a wrapped model) is left alone: a rank that is not recorded is better than one that waits for ever.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
import zlib
from collections.abc import Callable
from multiprocessing import util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from cognate.case.store import Appender
from cognate.observe.live import facts
from cognate.observe.live.chance import state_of
from cognate.observe.live.modules import Modules
from cognate.observe.live.patch import before_and_after, wrap
from cognate.observe.live.recorder import Recorder, guarded, timed
from cognate.observe.live.start import finish

# Steps at which every rank looks, whatever its own budget says: what is compared must be of the same step.
STEPS = frozenset((0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 21, 34, 55, 89, 144, 233, 377, 610, 987, 1597, 2584, 4181, 6765, 10_946))
MOST_TENSORS = 200
VALUES = 16
# Engines that hold parameters elsewhere than in the modules, and talk to each other where a tensor is touched.
FOREIGN = ("deepspeed", "megatron", "colossalai")
SHARDED = {"FullyShardedDataParallel", "FSDPModule", "DTensor", "FlatParameter"}
SITE = Path(__file__).parent / "_site"
# Children that are no ranks: loading workers and pools.
NO_RANKS = ("torch.utils.data", "concurrent.", "multiprocessing.")


class Ranks:
    """Notices that this process is a rank, gives it its part of the case, and describes its state at fixed steps."""

    def __init__(self, recorder: Recorder, session: Any, modules: Modules) -> None:
        self.recorder, self.session, self.modules = recorder, session, modules
        self.joined = False
        self.last: Callable[[], Optimizer | None] = lambda: None

    def install(self) -> None:
        """Wrap what makes a process a rank, and let spawned children in."""
        if not distributed.is_available():
            return
        made = before_and_after(after=self._group_made)
        for owner in (distributed, distributed.distributed_c10d):
            wrap(owner, "init_process_group", made)
            # Often the last moment at which the optimizer is still there: a function that a child runs lets go of it.
            wrap(owner, "destroy_process_group", before_and_after(before=guarded(self.recorder, "rank")(self._end)))
        wrapped = guarded(self.recorder, "wrapper")(self._wrapped)
        wrap(torch.nn.parallel.DistributedDataParallel, "__init__", before_and_after(after=wrapped))
        _let_spawned_in(self.session)

    def _group_made(self, *args: Any, **kwargs: Any) -> None:
        recorder = self.recorder
        try:
            rank, world = distributed.get_rank(), distributed.get_world_size()
            if self.joined or world < 2 or any(name in sys.modules for name in FOREIGN):
                return
            if not recorder.alive and not self._begin_part(rank):
                return
            if not recorder.active:
                return
            self._join(rank, world)
        except Exception as error:
            recorder.alive = False
            recorder.failed("joining the process group", error)

    def _begin_part(self, rank: int) -> bool:
        """Wake the recorder in a child, with files of its own; False where this child is not to be recorded."""
        recorder, session = self.recorder, self.session
        child = session.waiting or os.getpid() != recorder.process
        if not child or recorder.step:  # a recorder that has finished, or one that had already trained before the fork
            return False
        folder = Path(session.folder) / f"rank-{rank}"
        try:
            folder.mkdir()
        except FileExistsError:  # a second group of workers: its steps would count from nought again
            return False
        session.folder, session.process, session.waiting = str(folder), os.getpid(), False
        session.partial = dict.fromkeys(session.partial, "")
        recorder.folder, recorder.process, recorder.thread = folder, os.getpid(), threading.get_ident()
        recorder.files = {name: Appender(folder / f"{name}.jsonl") for name in recorder.FILES}
        recorder.rows.clear()
        recorder.counts.clear()
        recorder.spent, recorder.inside, recorder.alive = 0.0, 0, True
        for stream, text in session.early if not recorder.inherited else ():
            recorder.printed(stream, text)
        # A forked child of multiprocessing ends without atexit.
        util.Finalize(None, finish, args=(session,), exitpriority=-100)
        return True

    def _join(self, rank: int, world: int) -> None:
        recorder = self.recorder
        self.joined = True
        recorder.probe_seconds = 0.0
        recorder.no_probes = "the run has several ranks: a copy of a wrapped model might wait for the others"
        recorder.must_look |= STEPS
        backend = str(distributed.get_backend())
        seed = torch.initial_seed()
        recorder.event("rank", recorder.sites.here(4), name="group", rank=rank, world=world, backend=backend, seed=seed)
        register_optimizer_step_pre_hook(guarded(recorder, "rank")(timed(recorder)(self._before_step)))
        recorder.at_finish.append(guarded(recorder, "rank")(self._end))
        wrap(Optimizer, "__init__", before_and_after(after=guarded(recorder, "rank")(self._optimizer_made)))

    def _optimizer_made(self, _: None, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        self._stop_if_sharded(optimizer)

    def _stop_if_sharded(self, optimizer: Optimizer) -> bool:
        parameters = (p for group in optimizer.param_groups for p in group["params"])
        parts = (part for top in self.modules.tops for part in top.modules())
        kinds = {kind.__name__ for item in (*parameters, *parts) for kind in type(item).__mro__}
        if not kinds & SHARDED:
            return False
        self.recorder.errors.append("the parameters are sharded over the ranks: this rank is recorded up to here")
        self.recorder.flush()
        self.recorder.alive = False
        self.modules.quiet()
        return True

    def _wrapped(self, _: None, wrapper: Any, module: Any = None, *args: Any, **kwargs: Any) -> None:
        """A replica was wrapped: which is called from now on, wrapper or content, decides whether ranks stay together."""
        module = kwargs.get("module", module)
        label = self.recorder.label
        names = {"object": label(wrapper, "model"), "cls": type(wrapper).__name__, "module": label(module, "model")}
        self.recorder.event("rank", self.recorder.sites.here(4), name="wrapper", **names)

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if self.recorder.step not in STEPS or self._stop_if_sharded(optimizer):
            return
        self.last = weakref.ref(optimizer)
        self._describe("state", optimizer)

    def _end(self, *args: Any, **kwargs: Any) -> None:
        optimizer, self.last = self.last(), lambda: None
        if optimizer is not None:
            self._describe("end", optimizer)

    def _describe(self, name: str, optimizer: Optimizer) -> None:
        owned = [p for group in optimizer.param_groups for p in group["params"] if facts.readable(p)][:MOST_TENSORS]
        graded = [p.grad for p in owned if p.grad is not None and facts.readable(p.grad)]
        self.recorder.event(
            "rank",
            name=name,
            object=self.recorder.label(optimizer, "optimizer"),
            tensors=len(owned),
            parameters=_checksum(owned),
            values=_values(owned),
            gradients=_checksum(graded),
            gradient_values=_values(graded),
            random=state_of(owned[0].device if owned else torch.device("cpu")),
        )


def _checksum(tensors: list[Tensor]) -> int | None:
    """One number for the contents of all: equal where a sample of every tensor is equal bit for bit."""
    if not tensors:
        return None
    return zlib.crc32(",".join(str(facts.fingerprint(tensor, 64)) for tensor in tensors).encode())


def _values(tensors: list[Tensor]) -> list[float]:
    """A few elements of the largest tensor, so that a difference can be told in numbers."""
    if not tensors:
        return []
    largest = max(tensors, key=lambda tensor: tensor.numel())
    return [float(value) for value in facts.wide(facts.sample(largest, VALUES)).tolist()]


def _let_spawned_in(session: Any) -> None:
    """Give a spawned child our folder on its path, as the script had it; the child takes it off again before anything else."""
    if os.name != "posix":
        return
    from multiprocessing import popen_spawn_posix, resource_tracker

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def launch(popen: Any, process: Any) -> Any:
            module = getattr(getattr(process, "_target", None), "__module__", None) or ""
            if os.getpid() != session.process or module.startswith(NO_RANKS):
                return original(popen, process)
            resource_tracker.ensure_running()  # it would inherit the variables
            before = dict(os.environ)
            os.environ.update(variables(before.get("PYTHONPATH"), session.home, session.text + "\nwaiting=1"))
            try:
                return original(popen, process)
            finally:
                for name in ("PYTHONPATH", "COGNATE_PYTHONPATH", "COGNATE_CASE", "COGNATE_OPTIONS"):
                    os.environ.pop(name, None)
                    if name in before:
                        os.environ[name] = before[name]

        return launch

    wrap(popen_spawn_posix.Popen, "_launch", make)


def variables(path: str | None, case: str, options: str) -> dict[str, str]:
    """What a child needs in its environment so that the recorder gets into it."""
    found = {"PYTHONPATH": os.pathsep.join(filter(None, [str(SITE), path])), "COGNATE_CASE": case, "COGNATE_OPTIONS": options}
    return found if path is None else {**found, "COGNATE_PYTHONPATH": path}
