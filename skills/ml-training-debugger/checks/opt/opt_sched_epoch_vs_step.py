"""scheduler.step() stands in the wrong one of two loops."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.schedules import Schedule, epochs, near, nested, schedules
from cognate.rules.source import Site, called, calls_at
from cognate.rules.training import number, where

_LOOP = (
    "for epoch in range(12):\n    for batch in loader:\n        optimizer.step()\n        scheduler.step()\n    print(epoch)\n"
)
_DECAYS = ("StepLR", "ExponentialLR", "MultiplicativeLR")


def _parts(calls: int, line: int) -> dict:
    site = {"file": "t.py", "line": line, "function": "main"}
    schedule = {"object": "scheduler#0", "cls": "CosineAnnealingLR", "optimizer": "optimizer#0", "plan": {"T_max": 12.0}}
    made = {"kind": "call", "name": "scheduler_step", "object": "scheduler#0", "site": site}
    step = {"kind": "call", "name": "step", "object": "optimizer#0", "site": site | {"line": 3}}
    rows: list[dict] = [{"kind": "scheduler", "site": site | {"line": 1}, **schedule}]
    rows += [{**row, "step": i, "n": 2 * i + k} for i in range(5) for k, row in enumerate((step, made))]
    end = {"kind": "schedules", "schedules": [schedule | {"steps": calls}]}
    metrics = [{"step": i, "lr": 0.1 * max(0.0, 1 - i * calls / 1440), "loss": 1.0} for i in range(120)]
    return {"events": [*rows, end], "metrics": metrics, "source": {"t.py": _LOOP}, "info": {"integrity": {"steps_seen": 120}}}


@rule(
    code="OPT121",
    name="opt-sched-epoch-vs-step",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.scheduler", "events.schedules", "metrics.lr"},
    explains={
        "opt-sched-horizon-mismatch", "opt-lr-zero-or-dead-tail", "opt-warmup-missing-or-long", "opt-lr-too-low",
        "opt-lr-too-high", "loss-not-decreasing", "loss-diverging", "data-input-label-misaligned", "loss-plateau",
    },
    sources={
        "apart": "our calibration: a run of fewer steps an epoch has no two units that could be told apart",
        "milestones": "our calibration: schedules in epochs make their last cut after a third of the run or later",
        "decay": "our calibration: an exponential decay to a ten-thousandth of the rate by mid-run serves nobody",
    },
    fires=Example(**_parts(120, 4)),
    quiet=Example(**_parts(12, 5)),
)  # fmt: skip
def opt_sched_epoch_vs_step(case: Case, *, apart: float = 4.0, decay: float = 1e-4, milestones: float = 0.3) -> Iterator[Said]:
    """The scheduler counts in epochs and is stepped with every batch, or counts in steps and is stepped once an epoch.

    A horizon in epochs is used up within the first of them when step() is called per batch: the rate is gone, or runs up again.
    A horizon in steps that advances once an epoch never gets anywhere: the rate stays where its warm-up began. Judged by the
    calls that were made, the plan, and how many epochs the run has.
    """
    found = schedules(case)
    if not found:
        yield Skip("no scheduler was stepped", "")
        return
    counts = epochs(case)
    fired = False
    for schedule in found:
        finding = _too_often(case, schedule, counts, apart, decay, milestones) or _too_seldom(case, schedule, counts, apart)
        if finding:
            fired = True
            yield replace(finding, location=Location.of(_place(case, schedule)))
    if not fired:
        made = ", ".join(f"{s.cls} {s.made} times over {s.optimizer_steps} steps" for s in found[:3])
        yield Clear(f"schedulers are stepped in the unit that they count in: {made}")


def _too_often(case: Case, schedule: Schedule, counts: set[int], apart: float, decay: float, milestones: float) -> Finding | None:
    if not schedule.per_batch or not counts or schedule.made < apart * max(counts):
        return None
    planned = schedule.planned
    if planned is not None:
        if not any(near(planned, count) for count in counts):
            return None
        plan = f"planned for {planned:g} calls, as many as the run has epochs"
    elif schedule.plan.get("milestones"):
        last = max(schedule.plan["milestones"])
        if not any(milestones * count <= last <= count for count in counts):
            return None
        plan = f"its last milestone is {last}, and the run has {max(counts)} epochs"
    elif schedule.cls in _DECAYS and nested(case, schedule.place):
        rates = [rate for row in case.metrics if (rate := row.get("lr")) is not None]
        if not rates or rates[len(rates) // 2] >= decay * max(rates):
            return None
        plan = f"a decay that leaves {number(rates[len(rates) // 2])} of {number(max(rates))} at half of the run"
    else:
        return None
    return _finding(
        schedule, f"is stepped with every batch, {schedule.made} times, but counts in epochs: {plan}", max(counts), True
    )


def _too_seldom(case: Case, schedule: Schedule, counts: set[int], apart: float) -> Finding | None:
    if schedule.made * apart > schedule.optimizer_steps:
        return None
    if counts and not any(near(schedule.made, count) for count in counts):
        return None
    length = schedule.planned or schedule.plan.get("num_warmup_steps") or schedule.plan.get("total_iters")
    if not length or (not near(length, schedule.optimizer_steps, 0.5) and length < apart * schedule.made):
        return None
    if near(length, schedule.made) or length < schedule.optimizer_steps / 20:
        return None
    what = f"is stepped once an epoch, {schedule.made} times, but counts in steps: its plan is {length:g} calls"
    return _finding(schedule, f"{what}, and the run has {schedule.optimizer_steps} steps", schedule.made, False)


def _place(case: Case, schedule: Schedule) -> Site | None:
    """The line that steps it; where a framework does, the setting that says when, else where it is built."""
    if any(called(node) == "step" for node in calls_at(case, schedule.place)):
        return schedule.place
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            keys = node.keys if isinstance(node, ast.Dict) else ()
            setting = next((key for key in keys if isinstance(key, ast.Constant) and key.value == "interval"), None)
            if setting is not None:
                return {"file": file, "line": setting.lineno}
    return schedule.site


def _finding(schedule: Schedule, what: str, count: int, often: bool) -> Finding:
    move = (
        "out of the loop over batches, to the end of the epoch" if often else "into the loop over batches, after optimizer.step()"
    )
    return Finding(
        title=f"{schedule.cls} of {where(schedule.site)} {what} (step() at {where(schedule.place)})",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("calls of scheduler.step()", schedule.made, "one an epoch" if often else "one a step", "events.jsonl"),
            Evidence("plan", schedule.plan, "", "events.jsonl"),
            Evidence("optimizer steps", schedule.optimizer_steps),
            Evidence("epochs", count),
        ),
        onset_step=0,
        fix=Fix(f"Move scheduler.step() {move}; or give the horizon in the unit in which it is stepped."),
    )
