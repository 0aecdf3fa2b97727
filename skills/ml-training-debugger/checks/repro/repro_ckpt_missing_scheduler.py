"""The learning-rate schedule starts again where training continues from a checkpoint."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.resume import Resume, resumes
from cognate.rules.training import number, where


def _parts(restored: bool) -> dict:
    site = {"file": "t.py", "line": 9, "function": "load"}
    holds = {"model": "weights", "optimizer": "optimizer", "step": "integer"}
    events = [
        {"kind": "scheduler", "object": "scheduler#0", "cls": "StepLR", "optimizer": "optimizer#0", "n": 0, "step": 0},
        {"kind": "checkpoint", "name": "load", "n": 2, "step": 20, "holds": holds, "numbers": {"step": 20.0}, "site": site},
        {"kind": "scheduler", "object": "scheduler#1", "cls": "StepLR", "optimizer": "optimizer#1", "n": 3, "step": 20},
        {"kind": "checkpoint", "name": "load_optimizer", "n": 4, "step": 20, "object": "optimizer#1", "entries": 4},
        {"kind": "checkpoint", "name": "arrived", "n": 6, "step": 20, "of": 2, "optimizer": "optimizer#1"}
        | {"tensors": 4, "fitting": 4, "equal": 4},
    ]
    rates = [0.01 * 0.9**s for s in range(20)]
    rates += [rates[-1] * 0.9**s for s in range(20)] if restored else rates
    metrics = [{"step": s, "lr": lr, "optimizer": f"optimizer#{int(s >= 20)}"} for s, lr in enumerate(rates)]
    return {"events": events, "metrics": metrics}


@rule(
    code="REPRO121",
    name="repro-ckpt-missing-scheduler",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.checkpoint", "metrics.lr"},
    explains={"repro-resume-loss-jump", "opt-sched-horizon-mismatch", "loss-diverging", "opt-lr-zero-or-dead-tail"},
    sources={
        "apart": "our calibration: one step of any usual schedule changes the rate by less than 5 %, a restart by more",
        "alike": "the first rates of the continuation are those of the very beginning, to rounding",
    },
    fires=Example(**_parts(False)),
    quiet=Example(**_parts(True)),
)
def repro_ckpt_missing_scheduler(case: Case, *, apart: float = 0.05, alike: float = 0.01) -> Iterator[Said]:
    """Training is resumed without the scheduler's state: the learning rate starts its schedule again, warm-up included.

    The rate jumps back to where a fresh run would be, and the decay ends too late or never. Save and load
    `scheduler.state_dict()`, or build the scheduler with `last_epoch`. A rate that continues where it stood, however the script
    does that, is healthy, and so is a new schedule with another plan.
    """
    found = resumes(case)
    if not found:
        yield Skip("no training was continued from a checkpoint", "")
        return
    for one in found:
        if one.restored("load_scheduler", "optimizer") or not one.weights_arrived:
            continue
        schedule = next((e for e in case.events("scheduler", optimizer=one.optimizer)), None)
        if schedule is None:
            continue
        finding = _jump(case, one, schedule, apart, alike) if one.before else _left(one)
        if finding is not None:
            yield finding
            return
    yield Clear(f"{len(found)} continuations: the learning rate goes on, or there is no schedule")


def _jump(case: Case, one: Resume, schedule: dict, apart: float, alike: float) -> Finding | None:
    """The rate before and after, against the rate at the beginning of the sitting before."""
    label = one.before[-1].get("optimizer")
    same = any(e.get("cls") == schedule.get("cls") for e in case.events("scheduler", optimizer=label))
    first = [float(r["lr"]) for r in one.before if r.get("optimizer") == label and r.get("lr") is not None]
    after = [float(r["lr"]) for r in one.after if r.get("lr") is not None]
    if not same or len(first) < 3 or len(after) < 3:
        return None
    jumped = abs(after[1] - first[-1]) > apart * max(after[1], first[-1])
    again = all(abs(a - b) <= alike * max(a, b, 1e-30) for a, b in list(zip(first, after, strict=False))[1:4])
    if not (jumped and again):
        return None
    step, site = int(one.arrived["step"]), one.load.get("site")
    return Finding(
        title=f"the learning rate starts again at step {step}, where training continues from the checkpoint of {where(site)}: "
        f"{number(first[-1])} before, {number(after[1])} after, as at the very beginning; {schedule.get('cls')} is not restored",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("learning rate before and after", [first[-1], after[1]], "continued", "metrics.jsonl"),
            Evidence("first rates of the run and of the continuation", [first[1:4], after[1:4]], "different"),
            Evidence("the file holds", ", ".join(sorted(one.load.get("holds") or {})), "also the scheduler", "events.jsonl"),
        ),
        location=Location.of(one.lacks("scheduler")),
        onset_step=step,
        fix=_FIX,
    )


def _left(one: Resume) -> Finding | None:
    """No earlier rate is known, but the file holds a schedule that was left in it."""
    if "scheduler" not in one.kinds or one.taken.get("load_scheduler") or not one.restored("load_optimizer"):
        return None
    site = one.load.get("site")
    return Finding(
        title=f"the checkpoint read at {where(site)} holds the scheduler's state, and training continues without loading it",
        proof=Proof.MEASUREMENT,
        severity=Severity.WARNING,
        evidence=(Evidence("restored before the first step", ", ".join(sorted(one.taken)), "load_scheduler among them"),),
        location=Location.of(site),
        onset_step=int(one.arrived["step"]),
        fix=_FIX,
    )


_FIX = Fix("Save scheduler.state_dict() in the checkpoint and load it, after building the scheduler and loading the optimizer.")
