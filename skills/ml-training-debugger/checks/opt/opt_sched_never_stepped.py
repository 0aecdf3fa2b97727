"""A scheduler was built and never stepped."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import epoch_end
from cognate.rules.training import commonest_site, where

_SITE = {"file": "t.py", "line": 20, "function": "main"}


def _parts(steps: int) -> dict:
    schedule = {
        "object": "scheduler#0",
        "cls": "CosineAnnealingLR",
        "optimizer": "optimizer#0",
        "plan": {"T_max": 50},
        "steps": steps,
    }
    return {
        "events": [{"kind": "scheduler", "site": _SITE, **schedule}, {"kind": "schedules", "schedules": [schedule]}],
        "metrics": [{"step": i, "lr": 0.1} for i in range(60)],
    }


NOTHING = 1e-6  # a rate that shrinks by this much is gone: nobody plans that


@rule(
    code="OPT107",
    name="opt-sched-never-stepped",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.scheduler", "events.schedules"},
    explains={"loss-not-decreasing", "opt-lr-too-low"},
    sources={"least": "our calibration: shorter runs may end before the first epoch does"},
    fires=Example(**_parts(0)),
    quiet=Example(**_parts(60)),
)
def opt_sched_never_stepped(case: Case, *, least: int = 30) -> Iterator[Said]:
    """A learning-rate scheduler is built but its step() is never called, so the schedule has no effect.

    The rate stays at its first value: no decay, or, with a warm-up, a rate that never leaves the bottom.
    """
    schedules = case.events("schedules")[-1]["schedules"]
    used = {o["label"] for o in case.model.get("optimizers", []) if o.get("steps")} or {"optimizer#0"}
    idle = [s for s in schedules if not s.get("steps") and s.get("optimizer") in used]
    # Schedulers inside a SequentialLR or ChainedScheduler are stepped by their owner.
    composed = any(s["cls"] in ("SequentialLR", "ChainedScheduler") for s in schedules)
    if not idle or composed or case.steps < least:
        yield Clear(f"{len(schedules)} schedulers, all stepped")
        return
    sites = {e["object"]: e.get("site") for e in case.events("scheduler")}
    for schedule in idle:
        yield Finding(
            title=f"{schedule['cls']} of {where(sites.get(schedule['object']))} is never stepped: the learning rate never "
            f"changes",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("calls of its step()", 0, f"one an epoch or one of {case.steps} steps", "events.jsonl"),),
            location=Location.of(_place(case, schedule) or sites.get(schedule["object"])),
            onset_step=0,
            fix=Fix("Call scheduler.step() after optimizer.step(), once per unit that the scheduler counts in."),
        )


def _place(case: Case, schedule: dict) -> dict | None:
    """Where the call is missing: below the optimizer's step for a schedule in steps, below the pass over the data for epochs."""
    steps = [event for event in case.events("call", name="step") if event.get("object") == schedule.get("optimizer")]
    site = commonest_site(steps)
    if site is None or not _in_epochs(case, schedule):
        return site
    return epoch_end(case, site)


def _in_epochs(case: Case, schedule: dict) -> bool:
    """Whether the schedule counts epochs: by its plan, or by what a decay without an end would leave after all steps."""
    plan, steps = schedule.get("plan") or {}, case.steps
    passes = max((n for name, n in case.calls.items() if name.startswith("pass:")), default=steps // 4)
    ends = [plan[key] for key in ("T_max", "total_iters", "step_size", "T_0") if plan.get(key)]
    if schedule["cls"] == "ReduceLROnPlateau" or plan.get("milestones"):
        return True
    if ends:
        return bool(max(ends) <= 2 * passes < steps)
    return schedule["cls"] == "ExponentialLR" and float(plan.get("gamma", 1.0)) ** steps < NOTHING
