"""One rank is slower than the others at each step, and all wait for it."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.ranks import apart, replicas, states
from cognate.rules.training import commonest_site, where

_SITE = {"file": "t.py", "line": 44, "function": "train"}


def _rank(rank: int, slow: bool) -> dict:
    events: list[dict] = [{"kind": "rank", "name": "group", "rank": rank, "world": 2, "step": 0, "n": 1}]
    own = 0.09 if slow and rank == 1 else 0.03
    for step in range(12):
        call = {"kind": "call", "step": step, "name": "backward", "site": _SITE}
        events.append({**call, "n": 3 * step + 2, "t": 0.1 * step + own})
        state = {"kind": "rank", "name": "state", "object": "optimizer#0", "tensors": 2, "parameters": step, "gradients": step}
        events.append({**state, "step": step, "n": 3 * step + 4})
    return {"events": events, "metrics": [{"step": step, "t": 0.1 * (step + 1), "step_time": 0.1} for step in range(12)]}


@rule(
    code="DIST109",
    name="dist-straggler",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.rank", "events.call", "metrics.step_time"},
    sources={
        "least": "our calibration: eight steps at which the same one of two ranks is the slowest by chance are one in 128",
        "steady": "our calibration: on a shared machine the slowest rank changes from step to step",
        "lost": "our calibration: a fifth of the step is worth looking for; less is lost to the recorder and to printing",
        "floor": "our calibration: below 5 ms the order of two processes on one machine decides",
    },
    fires=Example(**_rank(0, True), ranks={1: _rank(1, True)}),
    quiet=Example(**_rank(0, False), ranks={1: _rank(1, False)}),
)
def dist_straggler(case: Case, *, least: int = 8, steady: float = 0.9, lost: float = 0.2, floor: float = 0.005) -> Iterator[Said]:
    """One and the same rank comes last to the averaging of gradients, and every other rank waits for it at each step.

    Compared is what a rank does alone: from the end of a step to the beginning of the next backward, which holds loading and the
    forward. Ranks meet in the backward, so the time of a whole step is the same on all and tells nothing. Batches of unequal
    length make another rank the last at each step, and are no straggler.
    """
    parts = replicas(case)
    told = states(case)
    if len(parts) < 2 or sum(apart(rows, "gradients") for _, rows in told) > 0.2 * len(told):
        yield Skip("fewer than two ranks that average their gradients were recorded", "")
        return
    alone = {rank: _alone(part) for rank, part in parts.items()}
    steps = sorted(set.intersection(*(set(found) for found in alone.values())))
    times = [seconds for row in case.metrics if (seconds := row.get("step_time"))]
    if len(steps) < least or not times:
        yield Skip(f"only {len(steps)} steps were timed on all ranks", "")
        return
    last = [max(alone, key=lambda rank: alone[rank][step]) for step in steps]
    slow = max(set(last), key=last.count)
    typical = {rank: median(found[step] for step in steps) for rank, found in alone.items()}
    gap = typical[slow] - max(value for rank, value in typical.items() if rank != slow)
    step_time = median(times)
    if last.count(slow) < steady * len(steps) or gap < max(floor, lost * step_time):
        yield Clear(
            f"no rank holds the others up: rank {slow} is the slowest at {last.count(slow)} of {len(steps)} steps, "
            f"by {max(gap, 0.0):.3g} s of {step_time:.3g} s"
        )
        return
    waits = {rank: _waits(part, steps) for rank, part in parts.items()}
    loads = waits[slow] - max(value for rank, value in waits.items() if rank != slow) > 0.5 * gap
    doing = "waits for its DataLoader" if loads else "computes before its backward"
    site = commonest_site(parts[slow].events("call", name="backward"))
    yield Finding(
        title=f"rank {slow} holds the others up: it {doing} {gap:.3g} s longer than any other rank at each step of "
        f"{step_time:.3g} s ({where(site)})",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                f"steps at which rank {slow} is the last", f"{last.count(slow)} of {len(steps)}", "changing", "events.jsonl"
            ),
            Evidence("seconds before the backward, by rank", {rank: round(value, 4) for rank, value in typical.items()}, "equal"),
            Evidence("of these, seconds of waiting for batches", {rank: round(value, 4) for rank, value in waits.items()}, ""),
        ),
        location=Location.of(site),
        onset_step=int(steps[0]),
        fix=Fix(
            "Look at what this rank alone does: its disk and share of the data."
            if loads
            else "Look at what this rank alone does between steps (logging, saving), and at what else runs on its device."
        ),
    )


def _alone(part: Case) -> dict[int, float]:
    """Seconds from the end of the step before to the first backward, by step; the first steps warm caches up."""
    ends = {int(row["step"]): row["t"] for row in part.metrics if row.get("t") is not None}
    found: dict[int, float] = {}
    for event in part.events("call", name="backward"):
        step = int(event["step"])
        if step >= 3 and step not in found and step - 1 in ends and event.get("t") is not None:
            found[step] = event["t"] - ends[step - 1]
    return found


def _waits(part: Case, steps: list[int]) -> float:
    values = [row["data_time"] for row in part.metrics if row["step"] in set(steps) and row.get("data_time") is not None]
    return median(values) if values else 0.0
