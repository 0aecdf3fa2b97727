"""The accumulation boundary is off by one."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, windows


def _events(first: int) -> list[dict]:
    rows, n = [], 0
    for step in range(6):
        for name in ["backward"] * (first if step == 0 else 4) + ["step"]:
            n += 1
            rows.append({"kind": "call", "step": step, "n": n, "name": name, "site": {"file": "t.py", "line": 9}})
    return rows


@rule(
    code="GRAD109",
    name="grad-accum-boundary",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={"loss-not-decreasing"},
    sources={"least": "our calibration: the pattern needs a few equal windows after the short first one"},
    fires=Example(events=_events(1)),
    quiet=Example(events=_events(4)),
)
def grad_accum_boundary(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The accumulation boundary is off by one: the first optimizer step comes after a single micro-batch.

    `if i % k == 0` is true for i = 0, so the first step sees one micro-batch (scaled for k) and, in every epoch, the last ones
    are left over in `.grad` or lost. `(i + 1) % k == 0` is meant.
    """
    counts = [(w.step, len(w.named("backward"))) for w in windows(case) if w.step < 12]
    later = [count for step, count in counts if step > 0]
    if len(later) < least or counts[0][0] != 0:
        yield Skip("the first steps were not all looked at", "")
        return
    k = max(set(later), key=later.count)
    if k < 2 or counts[0][1] != 1 or later.count(k) < least:
        yield Clear(f"{counts[0][1]} backward calls before the first step, {k} before the later ones")
        return
    site = commonest_site(call for w in windows(case) for call in w.named("step"))
    yield Finding(
        title=f"the first optimizer step comes after 1 micro-batch and later ones after {k}: the accumulation boundary is "
        f"off by one",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("backward calls before each step", [c for _, c in counts], f"{k} each", "events.jsonl"),),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(f"Step when (i + 1) % {k} == 0, and once more after the loop for what is left."),
    )
