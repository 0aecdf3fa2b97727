"""Most of a step is spent waiting for the next batch."""

import ast
from collections.abc import Iterator
from statistics import median
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import class_named
from cognate.rules.training import where

_LOADER = {
    "kind": "loader",
    "object": "loader#0",
    "batch_size": 50,
    "dataset": "Windows",
    "workers": 0,
    "step": 0,
    "n": 1,
    "site": {"file": "t.py", "line": 42},
}


def _example(waits: float) -> Example:
    batch = {"kind": "batch", "object": "loader#0", "number": 0, "index": 0, "step": 0, "n": 2}
    rows = [{"step": s, "step_time": 0.08, "data_time": waits} for s in range(40)]
    return Example(events=[_LOADER, batch], metrics=rows)


@rule(
    code="PERF120",
    name="perf-dataloader-bound",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"metrics.data_time", "events.loader"},
    explains={"perf-step-outliers", "perf-throughput-regression"},
    sources={
        "share": "our calibration: half of a step is waiting: twice the speed is to be had; healthy ones wait a third",
        "item": "our calibration: collating a sample of a TensorDataset takes 5 to 10 µs",
        "least": "our calibration: twenty steps after the first ones, which start workers and fill caches",
        "batch": "our calibration: handing a batch over from a worker process takes about 1 ms",
    },
    fires=_example(0.055),
    quiet=_example(0.0004),
)
def perf_dataloader_bound(
    case: Case, *, share: float = 0.5, item: float = 50e-6, least: int = 20, batch: float = 5e-3
) -> Iterator[Said]:
    """Most of each step is spent waiting for data: the loading of a batch takes longer than training on it.

    The time inside the DataLoader is measured in the training process. Usual reasons: work in `__getitem__` that is the same for
    every item, decoding without workers, one read a sample. A tiny model that only waits for cheap collation is not meant.
    """
    rows = [(r["step_time"], r["data_time"]) for r in case.metrics[3:] if r.get("step_time") and r.get("data_time") is not None]
    pairs = [(whole, waits) for whole, waits in rows if whole]
    if len(pairs) < least:
        yield Skip("too few steps with a DataLoader's batch were recorded", "")
        return
    waiting = median(waits / whole for whole, waits in pairs)
    each = median(waits for _, waits in pairs)
    loader = _training_loader(case)
    size, workers = loader.get("batch_size") or 1, loader.get("workers") or 0
    dear = each >= batch if workers else each / size >= item
    if waiting < share or not dear:
        yield Clear(f"{waiting:.0%} of a step is waiting for data, {each / size * 1e6:.0f} µs a sample")
        return
    site = _same_for_every_item(case, str(loader.get("dataset"))) or loader.get("site")
    repeated = site is not loader.get("site")
    what = "__getitem__ repeats work that is the same for every item" if repeated else f"it has {workers} workers"
    total = sum(waits for _, waits in pairs)
    yield Finding(
        title=f"{waiting:.0%} of each step is waiting for the DataLoader ({where(loader.get('site'))}), "
        f"{each / size * 1e3:.2g} ms a sample: {what} ({where(site)})",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("share of a step spent waiting for its batch, median", f"{waiting:.0%}", f"< {share:.0%}", "metrics.jsonl"),
            Evidence("loading a batch / all else of a step", f"{_ratio(pairs):.2g}", "< 1", "metrics.jsonl"),
            Evidence("seconds spent waiting in the steps counted", round(total, 1), ""),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(
            "Compute once, in __init__ or before the data set is made, what does not depend on the index."
            if repeated
            else "Load in the background (num_workers, pin_memory, prefetch_factor), or do the expensive part once and cache it."
        ),
    )


def _ratio(pairs: list[tuple[float, float]]) -> float:
    return median(waits / max(whole - waits, 1e-6) for whole, waits in pairs)


def _training_loader(case: Case) -> dict[str, Any]:
    """The loader with the most passes among those whose batches were seen."""
    loaders = {e["object"]: e for e in case.events("loader")}
    passes = {label: case.calls.get(f"pass:{label}", 0) + 1e-3 * bool(e.get("shuffles")) for label, e in loaders.items()}
    return loaders[max(passes, key=lambda label: passes[label])]


def _same_for_every_item(case: Case, dataset: str) -> dict[str, Any] | None:
    """A statement of the data set's `__getitem__` that calls something or computes on its fields without the index."""
    found = class_named(case, dataset)
    methods = [n for n in found[1].body if isinstance(n, ast.FunctionDef) and n.name == "__getitem__"] if found else []
    if not found or not methods or len(methods[0].args.args) < 2:
        return None
    varying = {methods[0].args.args[1].arg}
    for statement in methods[0].body:
        names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name)}
        value = getattr(statement, "value", None)
        if names & varying or value is None:
            varying |= {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and _works_on_fields(value):
            return {"file": found[0], "line": statement.lineno, "function": "__getitem__"}
    return None


def _works_on_fields(value: ast.expr) -> bool:
    fields = any(isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name) and n.value.id == "self" for n in ast.walk(value))
    random = {"rand", "randn", "randint", "random", "choice", "uniform", "normal"}
    drawn = any(isinstance(n, ast.Call) and getattr(n.func, "attr", getattr(n.func, "id", "")) in random for n in ast.walk(value))
    return fields and not drawn and any(isinstance(n, (ast.Call, ast.BinOp)) for n in ast.walk(value))
