"""A scheduler is built after the optimizer's state was loaded, and resets its learning rate."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.resume import resumes
from cognate.rules.training import number, where


def _parts(late: bool) -> dict:
    site = {"file": "t.py", "line": 9, "function": "load"}
    holds = {"model": "weights", "optimizer": "optimizer", "scheduler": "scheduler"}
    build, load = (4, 3) if late else (3, 4)
    events = [
        {"kind": "checkpoint", "name": "load", "n": 2, "step": 20, "holds": holds, "numbers": {}, "site": site},
        {"kind": "scheduler", "object": "scheduler#1", "cls": "CosineAnnealingLR", "optimizer": "optimizer#1", "n": build}
        | {"step": 20, "site": site},
        {"kind": "checkpoint", "name": "load_optimizer", "n": load, "step": 20, "object": "optimizer#1", "entries": 4},
        {"kind": "checkpoint", "name": "load_scheduler", "n": 5, "step": 20, "object": "scheduler#1", "optimizer": "optimizer#1"},
        {"kind": "checkpoint", "name": "arrived", "n": 6, "step": 20, "of": 2, "optimizer": "optimizer#1"}
        | {"tensors": 4, "fitting": 4, "equal": 4},
    ]
    rates = [0.01 * 0.9**s for s in range(20)]
    rates += [(0.01 if late else rates[-1]) * 0.9**s for s in range(20)]
    metrics = [{"step": s, "lr": lr, "optimizer": f"optimizer#{int(s >= 20)}"} for s, lr in enumerate(rates)]
    return {"events": sorted(events, key=lambda e: e["n"]), "metrics": metrics}


@rule(
    code="REPRO122",
    name="repro-resume-load-order",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.checkpoint", "metrics.lr"},
    explains={"repro-resume-loss-jump", "opt-sched-horizon-mismatch"},
    sources={"apart": "our calibration: one step of any usual schedule changes the rate by less than 5 %, a reset by more"},
    fires=Example(**_parts(True)),
    quiet=Example(**_parts(False)),
)
def repro_resume_load_order(case: Case, *, apart: float = 0.05) -> Iterator[Said]:
    """On resume the scheduler is built after the optimizer's state was loaded: building it resets the learning rate.

    A scheduler's constructor writes its first rate into the optimizer, over the one that the state just brought. Schedules that
    compute each rate from the last one never return to their plan. Build everything first; load model, optimizer and scheduler
    after that, the optimizer before the scheduler.
    """
    found = resumes(case)
    if not found:
        yield Skip("no training was continued from a checkpoint", "")
        return
    for one in found:
        loads = [row for row in one.taken.get("load_optimizer", ()) if row.get("object") == one.optimizer]
        built = [
            e for e in case.events("scheduler", optimizer=one.optimizer) if loads and loads[-1]["n"] < e["n"] < one.arrived["n"]
        ]
        if not built or not one.restored("load_scheduler", "optimizer"):
            continue
        before = [float(row["lr"]) for row in one.before if row.get("lr") is not None]
        after = [float(row["lr"]) for row in one.after if row.get("lr") is not None]
        if not before or len(after) < 2 or abs(after[1] - before[-1]) <= apart * max(after[1], before[-1]):
            continue
        site = built[-1].get("site")
        yield Finding(
            title=f"{built[-1].get('cls')} is built at {where(site)} after the optimizer's state was loaded and resets its rate: "
            f"{number(before[-1])} before the interruption, {number(after[1])} after",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("learning rate before and after", [before[-1], after[1]], "continued", "metrics.jsonl"),
                Evidence("order", "load optimizer, build scheduler", "build scheduler, load optimizer", "events.jsonl"),
            ),
            location=Location.of(site),
            onset_step=int(one.arrived["step"]),
            fix=Fix("Build the scheduler first, then load the optimizer's and the scheduler's state."),
        )
        return
    yield Clear(f"{len(found)} continuations: no scheduler was built over a loaded optimizer with another rate")
