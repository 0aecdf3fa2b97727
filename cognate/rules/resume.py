"""Where a run continues from a checkpoint, and what it took from it: read off the files that were written and read."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from cognate.case.case import Case
from cognate.rules.source import called

Row = dict[str, Any]
# What only a training run keeps beside its weights.
STATES = ("optimizer", "scheduler", "scaler", "rng")
SHOWN = {"print", "info", "debug", "warning", "log", "write", "format"}


@dataclass(frozen=True)
class Resume:
    """One training that began with weights from a file."""

    load: Row  # the file was read
    arrived: Row  # the first optimizer step after it
    taken: dict[str, list[Row]]  # what was restored in between: load_state_dict, load_optimizer, load_scheduler, …
    before: list[Row]  # rows of metrics.jsonl that the same process made before
    after: list[Row]
    saved: Row | None = None  # the same process wrote the file

    @property
    def optimizer(self) -> str:
        """Label of the optimizer that trains on."""
        return str(self.arrived.get("optimizer"))

    @property
    def kinds(self) -> set[str]:
        """What the file holds."""
        return set((self.load.get("holds") or {}).values())

    def lacks(self, kind: str) -> dict[str, Any] | None:
        """Where the file was written without `kind`, or else read: the line to mend."""
        if kind not in self.kinds and self.saved is not None:
            return self.saved.get("site")
        return self.load.get("site")

    @property
    def weights_arrived(self) -> bool:
        """Whether most weights of the file that fit are in the trained model."""
        fitting = int(self.arrived.get("fitting") or 0)
        return fitting > 0 and int(self.arrived.get("equal") or 0) >= 0.5 * fitting

    def restored(self, name: str, key: str = "object") -> bool:
        """Whether `name` (load_optimizer, load_scheduler) was called for the optimizer that trains on."""
        return any(row.get(key) == self.optimizer for row in self.taken.get(name, ()))


@lru_cache(maxsize=2)
def resumes(case: Case) -> list[Resume]:
    """Every continuation of an interrupted training; what starts anew from given weights (fine-tuning) is none.

    A continuation restores other state of the training, or goes on counting where the file's counter stands.
    """
    return [one for one in beginnings(case) if _continues(case, one)]


def beginnings(case: Case) -> list[Resume]:
    """Every training that began after a file with weights was read, whether or not they are in its model."""
    rows: list[Row] = [dict(row) for row in case.metrics]
    events = case.events("checkpoint")
    loads = {event["n"]: event for event in events if event["name"] == "load"}
    found = []
    for arrived in (event for event in events if event["name"] == "arrived"):
        load = loads.get(arrived.get("of"))
        if load is None:
            continue
        taken: dict[str, list[Row]] = {}
        for event in events:
            if load["n"] < event["n"] < arrived["n"] and str(event["name"]).startswith("load_"):
                taken.setdefault(event["name"], []).append(event)
        step = int(arrived["step"])
        before = [row for row in rows if int(row.get("step", 0)) < step]
        after = [row for row in rows if int(row.get("step", 0)) >= step and row.get("optimizer") == arrived.get("optimizer")]
        written = [e for e in events if e["name"] == "save" and e["n"] < load["n"] and e.get("file") == load.get("file")]
        found.append(Resume(load, arrived, taken, before, after, written[-1] if written else None))
    return found


def _continues(case: Case, one: Resume) -> bool:
    if any(one.taken.get(name) for name in ("load_optimizer", "load_scheduler", "load_scaler")):
        return True
    counters = {path.rpartition(".")[2] for path, value in (one.load.get("numbers") or {}).items() if value > 0}
    whole = {path.rpartition(".")[2] for path, kind in (one.load.get("holds") or {}).items() if kind == "integer"}
    return bool(counters & whole & counters_used(case))


@lru_cache(maxsize=2)
def counters_used(case: Case) -> frozenset[str]:
    """Keys that the script reads from a mapping for more than showing them: `start = state["step"] + 1`."""
    used: set[str] = set()
    for tree in case.trees.values():
        shown: set[int] = set()
        for node in ast.walk(tree):
            if (isinstance(node, ast.Call) and called(node) in SHOWN) or isinstance(node, ast.JoinedStr):
                shown.update(id(inner) for inner in ast.walk(node) if inner is not node)
        for node in ast.walk(tree):
            if id(node) in shown:
                continue
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Constant):
                used.add(str(node.slice.value))
            if (
                isinstance(node, ast.Call)
                and called(node) in ("get", "pop")
                and node.args
                and isinstance(node.args[0], ast.Constant)
            ):
                used.add(str(node.args[0].value))
    return frozenset(used)


def optimizer_of(case: Case, label: str) -> Row:
    """The optimizer called `label`, as model.json has it; empty where it is not known."""
    return next((dict(o) for o in case.model.get("optimizers", []) if o.get("label") == label), {})


def predecessor(case: Case, one: Resume) -> Row:
    """The optimizer of the sitting before, where the same process ran it: the last one that stepped before the file was read."""
    labels = [row.get("optimizer") for row in one.before]
    return optimizer_of(case, str(labels[-1])) if labels else {}


def has_memory(optimizer: Row) -> bool:
    """Whether the optimizer keeps anything between steps; plain SGD does not."""
    if optimizer.get("cls") in ("SGD", "RMSprop"):
        return optimizer.get("cls") == "RMSprop" or any(group.get("momentum") for group in optimizer.get("groups", ()))
    return True
