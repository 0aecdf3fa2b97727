"""Which evidence a rule may need, how its presence is tested, and what to do to get it."""

from __future__ import annotations

from collections.abc import Callable

from cognate.case.case import Case
from cognate.case.curves import logged

_HOW = {
    "run": "observe the script: `cognate run SCRIPT`",
    "log": "give the log of a training run: `cognate doctor LOG`",
    "source": "observe the script, or name it: `cognate doctor SCRIPT`",
    "model": "observe a script that builds a torch.nn.Module and trains it: `cognate run SCRIPT`",
    "environment": "examine the script's environment: `cognate doctor SCRIPT`",
    "trace": "observe the run: `cognate run SCRIPT` (torch.compile turns the trace off)",
    "layers": "observe the run: `cognate run SCRIPT`",
    "probe": "leave probes on: `cognate run --probe SCRIPT`",
    "events": "observe the run: `cognate run SCRIPT`",
}

# What an event of a kind is to a reader.
_SEEN = {
    "call": "step of a training loop",
    "loss_call": "torch loss",
    "forward": "forward of a model",
    "print": "printed line",
    "loader": "DataLoader",
    "checkpoint": "saving, copying or loading of weights",
    "seed": "seeding",
    "schedules": "scheduler",
    "rank": "second rank of the run",
    "compile": "function compiled by torch.compile",
}


def missing(case: Case, need: str) -> tuple[str, str] | None:
    """Return (reason, how to make it checkable) where `case` lacks the evidence `need`, else None.

    `need` is one of: "run" (observed live), "log" (read from another tool's log), "source", "model", "environment",
    "layers", "metrics.FIELD" (a column with at least one value), "events.KIND", "probe.NAME". Raises KeyError for any
    other word.
    """
    head, _, tail = need.partition(".")
    if head == "metrics":
        if case.metrics.has(tail):
            return None
        return f"no {tail.replace('_', ' ')} was recorded", f"log {tail}, or observe the run with `cognate run SCRIPT`"
    if head == "probe":
        if case.probe(tail):
            return None
        why = case.probe_reason(tail)
        return (f"the {tail} probe did not run" + (f": {why}" if why else ""), "" if why else _HOW["probe"])
    present: Callable[[], bool] = {
        "run": lambda: case.info.get("origin") == "live",
        "log": lambda: logged(case),
        "source": lambda: bool(case.source),
        "model": lambda: bool(case.model.get("roots")),
        "environment": lambda: bool(case.environment),
        "trace": lambda: bool(case.trace),
        "layers": lambda: bool(case.layers),
        "events": lambda: bool(case.events(tail)),
    }[head]
    if present():
        return None
    reasons = {
        "run": "the run was not observed live",
        "log": "the run was observed itself, and is judged by more than its curves",
        "source": "the source of the script is not in the case",
        "model": "no model was observed",
        "environment": "the environment was not examined",
        "trace": "no training window was traced",
        "layers": "no per-layer statistics were recorded",
        "events": f"no {_SEEN.get(tail, tail.replace('_', ' '))} was seen",
    }
    live = case.info.get("origin") == "live"
    # A run that was observed and did not do the thing needs no advice to observe it.
    return reasons[head], "" if live and head in ("events", "trace", "layers", "log") else _HOW[head]
