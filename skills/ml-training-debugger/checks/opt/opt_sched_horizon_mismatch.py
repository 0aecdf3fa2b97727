"""The schedule's length does not fit the run: too short (the rate is gone early, or rises again) or stepped in the wrong unit."""

import ast
from collections.abc import Iterator
from itertools import pairwise

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import commonest_site, number, where

_SITE = {"file": "t.py", "line": 20, "function": "main"}


def _parts(planned: int, steps: int) -> dict:
    schedule = {"object": "scheduler#0", "cls": "CosineAnnealingLR", "optimizer": "optimizer#0", "steps": steps}
    schedule["plan"] = {"T_max": planned, "eta_min": 0.0}
    rates = [0.1 * max(0.0, 1 - i / planned) for i in range(steps)]
    return {
        "events": [{"kind": "scheduler", "site": _SITE, **schedule}, {"kind": "schedules", "schedules": [schedule]}],
        "metrics": [{"step": i, "lr": rate, "loss": 1.0} for i, rate in enumerate(rates)],
        "info": {"integrity": {"steps_seen": steps}},
    }


def planned_steps(schedule: dict) -> float | None:
    """How many calls of step() the schedule was made for; None where it has no end."""
    plan: dict[str, float] = schedule.get("plan", {})
    if schedule["cls"] == "OneCycleLR":
        return plan.get("total_steps")
    if schedule["cls"] == "CosineAnnealingLR":
        return plan.get("T_max")
    if schedule["cls"] in ("LinearLR", "PolynomialLR", "ConstantLR"):
        return None if schedule["cls"] != "PolynomialLR" else plan.get("total_iters")
    return None


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
    },
    sources={
        "early": "our calibration: a schedule used up in under two thirds of its calls is no rounding of drop_last or epochs",
        "late": "taxonomy: at the end above 10 % of the peak; a run that made a fifth of the planned calls was meant otherwise",
        "decay": "our calibration: an exponential decay to a millionth of the rate in mid-run serves nobody",
    },
    fires=Example(**_parts(10, 100)),
    quiet=Example(**_parts(100, 100)),
)
def opt_sched_horizon_mismatch(case: Case, *, early: float = 0.66, late: float = 0.2, decay: float = 1e-4) -> Iterator[Said]:
    """The scheduler is stepped in another unit than its horizon counts in, so the learning rate does not follow the plan.

    T_max or total_steps given in epochs and step() called per batch (or the reverse): the rate is used up in the first epochs,
    or rises again, or never decays. step_size and gamma meant per epoch but applied per batch drive the rate to zero.
    """
    sites = {e["object"]: e.get("site") for e in case.events("scheduler")}
    found = False
    for schedule in case.events("schedules")[-1]["schedules"]:
        made, planned = schedule.get("steps", 0), planned_steps(schedule)
        if made < 5:
            if planned and planned > 5 * max(made, 1) and made:
                found = True
                yield _finding(case, schedule, sites, f"planned for {planned:g} calls, but step() was called only {made} times")
            continue
        rates = [rate for r in case.metrics if (rate := r.get("lr")) is not None]
        if planned and planned < early * made:
            found = True
            yield _finding(case, schedule, sites, f"planned for {planned:g} calls, but step() was called {made} times")
        elif planned and made < late * planned and _ended_well(case):
            found = True
            yield _finding(case, schedule, sites, f"planned for {planned:g} calls, but step() was called only {made} times")
        elif schedule["cls"] in ("StepLR", "ExponentialLR", "MultiStepLR") and rates and max(rates) > 0:
            middle = rates[len(rates) // 2]
            if middle < decay * max(rates):
                found = True
                fall = f"{number(middle)} of {number(max(rates))}"
                what = f"decayed the rate to {fall} by the middle of the run ({made} calls of step())"
                yield _finding(case, schedule, sites, what)
    endless = _endless_warmup(case)
    if endless:
        found = True
        yield endless
    if not found:
        yield Clear("every scheduler was stepped as often as it was planned for")


def _ended_well(case: Case) -> bool:
    ended = (case.info.get("exit") or {}).get("code") == 0
    printed = " ".join(str(e.get("text", "")).lower() for e in case.events("print")[-20:])
    return ended and "early stop" not in printed and "stopping" not in printed


def _finding(case: Case, schedule: dict, sites: dict, what: str) -> Finding:
    site = sites.get(schedule["object"])
    steps = list(case.events("call", name="scheduler_step", object=schedule["object"]))
    place = commonest_site(steps) or site
    often = schedule.get("steps", 0)
    unit = "batch" if often >= 0.9 * case.steps else "epoch"
    return Finding(
        title=f"{schedule['cls']} of {where(site)} was {what}: scheduler.step() runs once per {unit} (at {where(place)}), "
        "which does not match its horizon",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("calls of scheduler.step()", often, "the planned number", "events.jsonl"),
            Evidence("plan", schedule.get("plan"), "", "events.jsonl"),
            Evidence("optimizer steps of the run", case.steps),
        ),
        location=Location.of(place if unit == "batch" else site),
        onset_step=0,
        fix=Fix("Give the horizon in the unit in which step() is called, or call step() in the loop that the horizon counts."),
    )


def _endless_warmup(case: Case) -> Finding | None:
    """A rate that starts near zero and still rises at the last step of a run that ended by itself."""
    rates = [float(r["lr"] or 0.0) for r in case.metrics if r.get("lr") is not None]
    if len(rates) < 50 or not _ended_well(case) or rates[0] > 0.05 * rates[-1]:
        return None
    if any(b < a for a, b in pairwise(rates)) or rates[-1] <= rates[-max(2, len(rates) // 10)]:
        return None
    site = next((e.get("site") for e in case.events("scheduler")), None)
    return Finding(
        title=f"the warm-up never ends: the learning rate still rises at the last of {len(rates)} steps "
        f"({number(rates[-1])}), so the scheduler's "
        "horizon is longer than the run",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "learning rate, first and last step",
                [rates[0], rates[-1]],
                "falls or stays after a warm-up of at most 10 %",
                "metrics.jsonl",
            ),
            Evidence("optimizer steps of the run", len(rates)),
        ),
        location=Location.of(_horizon(case, site)),
        onset_step=0,
        fix=Fix(
            "Compute the total and warm-up steps in optimizer steps: batches per epoch times epochs, divided by the accumulation."
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
