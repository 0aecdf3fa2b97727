"""The scheduler is stepped before the optimizer in every iteration."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, where, windows


def _events(order: list[str]) -> list[dict]:
    rows, n = [], 0
    for step in range(6):
        for name in order:
            n += 1
            # Whatever follows the optimizer step is recorded in the next window.
            late = order.index(name) > order.index("step")
            rows.append({"kind": "call", "step": step + late, "n": n, "name": name, "site": {"file": "t.py", "line": 9}})
    return rows


@rule(
    code="OPT108",
    name="opt-sched-before-opt",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.call"},
    sources={"least": "our calibration: three steps in a row separate a habit from a skipped mixed-precision step"},
    fires=Example(events=_events(["backward", "scheduler_step", "step"])),
    quiet=Example(events=_events(["backward", "step", "scheduler_step"])),
)
def opt_sched_before_opt(case: Case, *, least: int = 3) -> Iterator[Said]:
    """scheduler.step() is called before optimizer.step(): the first value of the schedule is skipped.

    PyTorch expects optimizer.step() first (since 1.1). Every rate of the schedule comes one step early; with a short warm-up or
    a one-cycle schedule that is a visible shift.
    """
    closed = [w for w in windows(case) if w.named("scheduler_step")]
    if len(closed) < least:
        yield Skip("no scheduler is stepped once per optimizer step", "")
        return

    def early(names: list[str]) -> bool:
        if "backward" not in names:
            return False
        last = len(names) - 1 - names[::-1].index("backward")
        return "scheduler_step" in names[last:] and names.index("scheduler_step", last) < names.index("step", last)

    wrong = [w for w in closed if early(w.names())]
    if len(wrong) < max(least, 0.8 * len(closed)):
        yield Clear("scheduler.step() follows optimizer.step()")
        return
    site = commonest_site(c for w in wrong for c in w.named("scheduler_step"))
    yield Finding(
        title=f"scheduler.step() at {where(site)} is called before optimizer.step() in every iteration",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("steps with the scheduler first", f"{len(wrong)} of {len(closed)}", "0", "events.jsonl"),),
        location=Location.of(site),
        onset_step=int(wrong[0].step),
        fix=Fix("Swap the two calls: optimizer.step() first, then scheduler.step()."),
    )
