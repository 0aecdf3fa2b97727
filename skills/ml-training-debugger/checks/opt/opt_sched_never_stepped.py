"""A scheduler was built and never stepped."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import where

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
            location=Location.of(sites.get(schedule["object"])),
            onset_step=0,
            fix=Fix("Call scheduler.step() after optimizer.step(), once per unit that the scheduler counts in."),
        )
