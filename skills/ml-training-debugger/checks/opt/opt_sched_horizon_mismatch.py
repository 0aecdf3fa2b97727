"""The schedule's length does not fit the run: the rate is gone early, rises again, or never gets where it was to go."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.schedules import Schedule, ended_by_itself, schedules
from cognate.rules.training import where

_SITE = {"file": "t.py", "line": 20, "function": "main"}
# Schedules that fall step by step by a factor have no length: a rate that they bring to nothing is opt-lr-zero-or-dead-tail.
_ENDLESS = ("StepLR", "MultiStepLR", "ExponentialLR", "MultiplicativeLR", "ReduceLROnPlateau")


def _parts(planned: int, steps: int) -> dict:
    schedule = {"object": "scheduler#0", "cls": "CosineAnnealingLR", "optimizer": "optimizer#0", "steps": steps}
    schedule["plan"] = {"T_max": planned, "eta_min": 0.0}
    rates = [0.1 * max(0.0, 1 - i / planned) for i in range(steps)]
    return {
        "events": [{"kind": "scheduler", "site": _SITE, **schedule}, {"kind": "schedules", "schedules": [schedule]}],
        "metrics": [{"step": i, "lr": rate, "loss": 1.0} for i, rate in enumerate(rates)],
        "info": {"integrity": {"steps_seen": steps}},
    }


@rule(
    code="OPT106",
    name="opt-sched-horizon-mismatch",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.scheduler", "events.schedules", "metrics.lr"},
    explains={
        "opt-lr-zero-or-dead-tail",
        "loss-not-decreasing",
        "opt-lr-too-low",
        "data-input-label-misaligned",
        "loss-diverging",
        "loss-plateau",
    },
    sources={
        "early": "our calibration: a schedule used up in under two thirds of its calls is no rounding of drop_last or epochs",
        "late": "taxonomy: at the end above 10 % of the peak; a run that made a fifth of the planned calls was meant otherwise",
    },
    fires=Example(**_parts(10, 100)),
    quiet=Example(**_parts(100, 100)),
)
def opt_sched_horizon_mismatch(case: Case, *, early: float = 0.66, late: float = 0.2) -> Iterator[Said]:
    """The schedule was made for another number of steps than the run takes, so the learning rate does not follow the plan.

    T_max, total_steps or a decay to zero counted for one epoch, without the accumulation, or for another run: the rate is used up
    early, or rises again, or never decays. Where scheduler.step() stands in the wrong loop, that is named instead.
    """
    found = False
    for schedule in schedules(case):
        made, planned = schedule.made, schedule.planned
        if planned and planned > 5 * made and made < 5:
            what = f"was planned for {planned:g} calls of step(), but only {made} were made"
        elif planned and planned < early * made and made >= 5:
            what = f"was planned for {planned:g} calls of step(), but {made} were made"
        elif planned and made < late * planned and ended_by_itself(case):
            what = f"was planned for {planned:g} calls of step(), but only {made} were made"
        elif not planned and (end := _gone(case, schedule, early)):
            what = f"brings the rate to nothing by step {end} of {schedule.optimizer_steps}"
        else:
            continue
        found = True
        yield _finding(case, schedule, what)
    if not found:
        yield Clear("every scheduler was stepped as often as it was planned for")


def _gone(case: Case, schedule: Schedule, early: float) -> int | None:
    """The step at which a schedule of unknown length has come down to nothing, for good and well before the end."""
    rows = [(int(r["step"]), rate) for r in case.metrics if (rate := r.get("lr")) is not None]
    rates = [rate for _, rate in rows]
    if schedule.cls in _ENDLESS or len(rates) < 20 or max(rates) <= 0:
        return None
    alive = max(i for i, rate in enumerate(rates) if rate > 1e-3 * max(rates))
    peak = rates.index(max(rates))
    falls = [a - b for a, b in pairwise(rates[peak : alive + 2])]
    # A fall in many small steps: a schedule that was to last. A cut to nothing is another's doing.
    smooth = len(falls) >= 5 and max(falls) < 0.5 * max(rates)
    return rows[alive][0] + 1 if smooth and alive + 1 < early * len(rates) else None


def _finding(case: Case, schedule: Schedule, what: str) -> Finding:
    unit = "batch" if schedule.per_step >= 0.9 else "epoch"
    return Finding(
        title=f"{schedule.cls} of {where(schedule.site)} {what} (step() at {where(schedule.place)}, once per {unit}): its "
        f"horizon does not match the run",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("calls of scheduler.step()", schedule.made, "the planned number", "events.jsonl"),
            Evidence("plan", schedule.plan, "", "events.jsonl"),
            Evidence("optimizer steps of the run", schedule.optimizer_steps),
        ),
        location=Location.of(_horizon(case, schedule.site) or schedule.place),
        onset_step=0,
        fix=Fix(
            "Compute the total in the calls of step() that the run makes: batches per epoch times epochs, divided by the "
            "accumulation; or epochs, where it is stepped once an epoch."
        ),
    )


def _horizon(case: Case, site: dict | None) -> dict | None:
    """The line that computes the number of steps, by the names that people give it; else where the scheduler is built."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.targets[0], ast.Name)
                and not isinstance(node.value, ast.Constant)
            ):
                name = node.targets[0].id.lower()
                if ("total" in name and ("step" in name or name in ("t_total", "total"))) or name in (
                    "num_training_steps",
                    "max_steps",
                ):
                    return {"file": file, "line": node.lineno}
    return site
