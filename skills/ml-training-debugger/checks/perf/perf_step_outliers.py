"""Some steps take many times as long as others."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, Skip, rule


def _rows(slow: set[int]) -> list[dict]:
    return [{"step": s, "step_time": 2.0 if s in slow else 0.1} for s in range(300)]


_AT_RANDOM = {31, 40, 77, 78, 90, 131, 144, 170, 172, 200, 231, 250, 251, 283}


@rule(
    code="PERF124",
    name="perf-step-outliers",
    severity=Severity.INFO,
    kind=Kind.SYMPTOM,
    needs={"metrics.step_time"},
    sources={
        "times": "our calibration: on a machine that is shared, single steps of five times the median are common and cost little",
        "count": "SageMaker Debugger: more than ten",
        "cost": "our calibration: a fifth of all time is worth looking for",
        "least": "our calibration: two hundred steps, so that ten are few among them",
    },
    fires=Example(metrics=_rows(_AT_RANDOM)),
    quiet=Example(metrics=_rows(set(range(20, 300, 20)))),
)
def perf_step_outliers(case: Case, *, times: float = 5.0, count: int = 10, cost: float = 0.2, least: int = 200) -> Iterator[Said]:
    """Single steps take many times the median, at irregular times, and together cost a fifth of the run.

    Something holds them up: a slow disk, another process, a straggling rank, memory that is swapped. Regular ones (evaluation,
    checkpoints, the start of a pass) are healthy. Steps that the recorder looked at closely are not counted.
    """
    rows = [(int(r["step"]), t) for r in case.metrics if (t := r.get("step_time")) and r.get("tensors") is None and r["step"] > 5]
    if len(rows) < least:
        yield Skip("too few steps were timed apart from those looked at closely", "")
        return
    typical = median(t for _, t in rows)
    passes = {int(e["step"]) for name in ("eval", "loader_iter", "train") for e in case.events("call", name=name)}
    slow = [(s, t) for s, t in rows if t > times * typical and s not in passes]
    lost = sum(t - typical for _, t in slow) / sum(t for _, t in rows)
    if len(slow) <= count or lost < cost:
        yield Clear(f"{len(slow)} of {len(rows)} steps took more than {times:g} times the median, {lost:.0%} of the time")
        return
    gaps = [b - a for (a, _), (b, _) in pairwise(slow)]
    if sum(abs(gap - median(gaps)) <= 1 for gap in gaps) > 0.7 * len(gaps):
        yield Clear(f"the slow steps come every {median(gaps):g} steps: something regular, such as an evaluation")
        return
    yield Finding(
        title=f"{len(slow)} of {len(rows)} steps take more than {times:g} times the median of {typical:.3g} s and cost "
        f"{lost:.0%} of the time",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("share of the time lost in slow steps", f"{lost:.0%}", f"< {cost:.0%}", "metrics.jsonl"),
            Evidence("the slowest steps", sorted(slow, key=lambda pair: -pair[1])[:5], ""),
        ),
        onset_step=slow[0][0],
        fix=Fix("See what runs at these steps: data on a slow disk, another process on the machine, a rank that is late."),
    )
