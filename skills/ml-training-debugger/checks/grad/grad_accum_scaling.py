"""Accumulated micro-batch losses are not divided by their number."""

from collections import Counter
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, train_losses, where, windows


def _events(coefficient: float) -> list[dict]:
    rows, n, site = [], 0, {"file": "t.py", "line": 7, "function": "f"}
    for step in range(6):
        for _ in range(4):
            n += 2
            loss = {"kind": "loss_call", "step": step, "n": n, "fn": "cross_entropy", "grad": True, "site": site}
            rows.append(loss | {"reduction": "mean", "coefficient": coefficient})
            rows.append({"kind": "call", "step": step, "n": n + 1, "name": "backward", "site": site})
        rows.append({"kind": "call", "step": step, "n": n + 2, "name": "step", "site": site})
        n += 2
    return rows


@rule(
    code="GRAD108",
    name="grad-accum-scaling",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call", "events.loss_call"},
    explains={"loss-diverging", "loss-nonfinite", "opt-lr-too-high", "loss-not-decreasing", "grad-exploding"},
    sources={"tolerance": "taxonomy, grad-accum-scaling: 1 % relative in fp32; doubled here for the last, smaller batch"},
    fires=Example(events=_events(1.0)),
    quiet=Example(events=_events(0.25)),
)
def grad_accum_scaling(case: Case, *, tolerance: float = 0.02) -> Iterator[Said]:
    """Gradient accumulation without dividing: k micro-batches give k times the gradient of one large batch.

    Each backward adds a mean gradient; without `loss / k` the step sees their sum. The effective learning rate is k times the
    one that was set. Adam hides part of it, clipping and weight decay do not.
    """
    closed = windows(case)
    counts = Counter(len(w.named("backward")) for w in closed)
    if not counts:
        yield Skip("no optimizer step was looked at closely", "run more steps")
        return
    k, often = counts.most_common(1)[0]
    accumulating = [w for w in closed if len(w.named("backward")) == k]
    sites = {(c.get("site") or {}).get("line") for w in accumulating for c in w.named("backward")}
    if k < 2 or often < 3 or len(sites) != 1:
        yield Clear("one backward per optimizer step: no accumulation" if k < 2 else "several losses share a step")
        return
    inside = {w.step for w in accumulating}
    calls = [c for c in train_losses(case) if c["step"] in inside and c.get("reduction") == "mean" and c.get("coefficient")]
    sums = [sum(c["coefficient"] for c in calls if c["step"] == step) for step in sorted(inside)]
    sums = [s for s in sums if s]
    if not sums:
        yield Skip("the coefficients of the losses could not be read", "")
        return
    typical = sorted(sums)[len(sums) // 2]
    if abs(typical / k - 1) > tolerance:
        yield Clear(f"{k} micro-batches with coefficients that sum to {typical:.3g}")
        return
    site = commonest_site(c for w in accumulating for c in w.named("backward"))
    yield Finding(
        title=f"gradients are accumulated over {k} micro-batches without dividing the loss by {k}: the step is {k} times "
        f"too large",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("sum of the losses' coefficients in one optimizer step", round(typical, 4), "1", "events.jsonl"),
            Evidence("backward calls per optimizer step", k),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(
            f"Divide: (loss / {k}).backward() at {where(site)}; with unequal token counts divide by the total count instead."
        ),
    )
