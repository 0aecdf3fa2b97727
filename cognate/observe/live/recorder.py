"""The state that all hooks share: the step, whether this window is looked at closely, the budget, the files.

A *window* is what happens between two optimizer steps. Every window costs a few microseconds; a *close* one is recorded in
full (order of calls, loss facts, gradients), a *deep* one also by layer. The first windows are close; later ones as the
budget allows. Nothing here draws random numbers, and nothing raises into the user's code (see `guarded`).
"""

from __future__ import annotations

import functools
import os
import sys
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from cognate.case.store import Appender, write_json
from cognate.observe.live.sites import Sites

# The first windows are always close: this is where most faults show, and what probes and identities need.
FIRST_CLOSE = 16
# Where looking closely is dear against the step (a large model on few cores), only the very first windows are close.
ALWAYS_CLOSE = 5
FIRST_SHARE = 0.02
# Windows to look at closely after something new appears in mid-run: a part that is replaced, a parameter, an optimizer.
REFOCUS = 12
# A run whose windows cost less than this in all may look at every fifth one whatever the share is: tiny models step in
# less time than it takes to read their gradients.
FREE_SECONDS = 0.15
# What the account cannot see (the hooks' own calls, memory traffic, caches) was about as much again as what it sees, so windows
# are chosen as if half the budget were there; benchmarks/overhead.py holds the sum to its goal.
MEASURED_SHARE = 0.5
FLUSH_SECONDS = 0.5
MOST_ERRORS = 5
# Calls that mark phases rather than steps are kept whatever the window, up to a number that no log of phases reaches.
RARE = ("train", "eval", "loader_iter")
MOST_RARE = 1000


class Recorder:
    """One per process; hooks reach it through the closure that installed them."""

    FILES = ("events", "metrics", "layers", "probes", "trace")

    def __init__(self, session: Any) -> None:
        options = session.options
        self.folder = Path(session.folder)
        self.sites = Sites(options.get("roots", "").split("|"), options.get("program", "").split("|"))
        self.budget = float(options.get("budget", "1")) / 100.0
        self.probe_seconds = float(options.get("probe_seconds", "5")) if options.get("probe") == "1" else 0.0
        self.process = os.getpid()
        self.thread = threading.get_ident()
        self.started = time.perf_counter()
        self.installed: list[str] = []
        self.errors: list[str] = []
        self.seeds: list[Any] = []
        self.prints = 0  # lines printed so far
        self.step = 0
        self.number = 0
        self.sampled = 0
        self.close = True
        self.deep = True
        self.next_deep = 1
        self.must_look: set[int] = set()
        self.refocused: set[int] = set()  # steps at which the model is described anew
        self.next_close = FIRST_CLOSE
        self.alive = not session.waiting  # a spawned child waits until it is known to be a rank
        self.inherited = self.alive
        self.no_probes = ""  # why probes were turned off, where it was not the user
        self.waited = 0.0  # seconds of this window in which the script waited for a batch of a DataLoader
        self.inside = 0  # depth of hooks under way: what they compute is not the user's
        self.spent = 0.0
        self.probe_spent = 0.0
        self.first_step_at: float | None = None
        self.counts: Counter[str] = Counter()
        self.rows: list[tuple[str, dict[str, Any]]] = []
        self.flushed = self.started
        self.files = {name: Appender(self.folder / f"{name}.jsonl") for name in self.FILES if self.alive}
        self.labels: dict[int, tuple[Callable[[], Any], str]] = {}
        self.label_counts: Counter[str] = Counter()
        self.at_step_end: list[Callable[[], None]] = []
        self.after_step: list[Callable[[], None]] = []
        self.at_finish: list[Callable[[], None]] = []
        self.before_flush: list[Callable[[], None]] = []
        os.register_at_fork(after_in_child=self._forked)
        for stream, text in session.early if self.alive else ():
            self.printed(stream, text)

    def _forked(self) -> None:
        self.alive = False

    def look_closely(self, count: int = REFOCUS) -> None:
        """Look closely at the next `count` windows: something began that the early ones could not show."""
        self.must_look |= set(range(self.step + 1, self.step + 1 + count))
        self.refocused |= {self.step + count // 2, self.step + count}

    @property
    def active(self) -> bool:
        """Whether hooks should record: in the process and thread that the script started with, and on real tensors."""
        return self.alive and threading.get_ident() == self.thread and not _symbolic()

    def label(self, item: Any, prefix: str) -> str:
        """A stable name for `item`, such as optimizer#0; ids are reused by Python, so the weak reference is checked."""
        known = self.labels.get(id(item))
        if known is not None and known[0]() is item:
            return known[1]
        text = f"{prefix}#{self.label_counts[prefix]}"
        self.label_counts[prefix] += 1
        try:
            self.labels[id(item)] = (weakref.ref(item), text)
        except TypeError:  # a list or tuple, such as a DataLoader's dataset
            self.labels[id(item)] = (lambda: item, text)
        return text

    def event(self, kind: str, site: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
        """Append an event; returns it, so that a hook may complete it before the window ends."""
        self.number += 1
        row = {"kind": kind, "step": self.step, "n": self.number, "t": round(time.perf_counter() - self.started, 6)}
        row.update(fields)
        if site is not None:
            row["site"] = site
        self.rows.append(("events", row))
        return row

    def call(self, name: str, site: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any] | None:
        """Count a call of the training loop, and keep its place in the order where the window is close."""
        self.counts[name] += 1
        if self.close or (name in RARE and self.counts[name] <= MOST_RARE):
            return self.event("call", site or self.sites.here(3), name=name, **fields)
        return None

    def add(self, file: str, row: dict[str, Any]) -> None:
        """Append `row` to another file of the case."""
        self.rows.append((file, row))

    def printed(self, stream: str, text: str) -> None:
        """Keep a line that the script printed, and put everything on disk where it was long ago."""
        if self.alive:
            self.prints += 1
            self.event("print", stream=stream, text=text)
            if time.perf_counter() - self.flushed > FLUSH_SECONDS:
                self.flush()

    def end_window(self) -> None:
        """Close this window and decide how closely to look at the next one."""
        for function in self.at_step_end:
            function()
        now = time.perf_counter()
        self.step += 1
        if self.first_step_at is None:
            self.first_step_at = now
        self.sampled += self.close
        allowed = MEASURED_SHARE * self.budget * (now - self.first_step_at)
        cheap = self.spent < allowed
        tiny = self.spent < FREE_SECONDS and self.step % 5 == 0
        due = self.step >= self.next_close and self.spent < max(FREE_SECONDS, 2 * allowed)
        first = self.step < ALWAYS_CLOSE or (self.step < FIRST_CLOSE and self.spent < FIRST_SHARE * (now - self.started))
        self.close = first or cheap or tiny or due or self.step in self.must_look
        if due:
            self.next_close = int(self.next_close * 1.5)
        affordable = self.step < ALWAYS_CLOSE or self.spent < max(FREE_SECONDS, allowed)
        self.deep = self.close and self.step >= self.next_deep and affordable
        if self.deep:
            self.next_deep = max(self.step + 1, int(self.step * 1.4))
        for function in self.after_step:
            function()
        if now - self.flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Put everything on disk: one write a file."""
        begun = time.perf_counter()
        for function in self.before_flush:
            function()
        # A loss call of the open window is still waiting for its coefficient.
        held = [item for item in self.rows if self.alive and item[1].get("kind") == "loss_call"]
        held = [item for item in held if item[1]["step"] == self.step]
        rows = [item for item in self.rows if item not in held] if held else self.rows
        self.rows = held
        for name, file in self.files.items():
            file.write(*[row for where, row in rows if where == name])
        self.flushed = time.perf_counter()
        self.spent += self.flushed - begun

    def document(self, name: str, value: Any) -> None:
        """Replace a whole JSON file of the case."""
        write_json(self.folder / name, value)

    def failed(self, where: str, error: BaseException) -> None:
        """Note that we failed; the first time, say so in one line on stderr."""
        if not self.errors:
            text = f"cognate: part of the observation failed and was left out ({where}: {type(error).__name__}: {error})"
            sys.stderr.write(text.replace("\n", " ") + "\n")
        if len(self.errors) < 50:
            self.errors.append(f"{where}: {type(error).__name__}: {error}")

    def finish(self) -> None:
        """Write what is still in memory; nothing is recorded afterwards."""
        if not self.alive:
            return
        for function in self.at_finish:
            function()
        self.event("call_counts", counts=dict(self.counts))
        self.flush()
        self.alive = False  # now also what still waited for backward
        self.flush()
        for file in self.files.values():
            file.close()


def _symbolic() -> bool:
    """Whether torch is tracing, or transforming (vmap, grad): looking at a tensor's values would show or fail."""
    return torch._C._get_tracing_state() is not None or torch._C._functorch.peek_interpreter_stack() is not None


def guarded(recorder: Recorder, where: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a hook that can't hurt: inactive outside the main thread and process, silent after it failed a few times."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        failures = 0

        @functools.wraps(function)
        def hook(*args: Any, **kwargs: Any) -> Any:
            nonlocal failures
            if not recorder.active or failures >= MOST_ERRORS:
                return None
            recorder.inside += 1
            try:
                return function(*args, **kwargs)
            except Exception as error:
                failures += 1
                recorder.failed(where, error)
                return None
            finally:
                recorder.inside -= 1

        return hook

    return decorate


def timed(recorder: Recorder) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Charge what a hook costs to the recorder's account."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def hook(*args: Any, **kwargs: Any) -> Any:
            begun = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                recorder.spent += time.perf_counter() - begun

        return hook

    return decorate
