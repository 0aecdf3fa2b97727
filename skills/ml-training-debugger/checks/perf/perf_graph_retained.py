"""The graph of earlier steps is kept and differentiated again."""

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, share, where, windows


def _events(retain: bool) -> list[dict]:
    site = {"file": "t.py", "line": 48, "function": "<module>"}
    rows = []
    for step in range(8):
        rows.append(
            {
                "kind": "call",
                "step": step,
                "n": 2 * step,
                "name": "backward",
                "retain_graph": retain,
                "value": 1.0 * (step + 1),
                "site": site,
            }
        )
        rows.append({"kind": "call", "step": step, "n": 2 * step + 1, "name": "step", "site": site})
        rows.append(
            {
                "kind": "loss_call",
                "step": step,
                "n": 2 * step,
                "fn": "mse_loss",
                "grad": True,
                "value": 1.0,
                "backwards": 1 + (step < 7) * retain,
            }
        )
    return rows


@rule(
    code="PERF102",
    name="perf-graph-retained",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={"loss-diverging", "loss-not-decreasing", "opt-lr-too-high", "loss-nonfinite", "grad-exploding"},
    sources={"least": "our calibration: three windows in a row are a habit; a second backward in one step is a technique"},
    fires=Example(events=_events(True)),
    quiet=Example(events=_events(False)),
)
def perf_graph_retained(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The graph is retained across steps: the loss is accumulated as a tensor and backward runs over all earlier batches again.

    `total += loss` keeps every graph alive; backward(retain_graph=True) on the total differentiates all of them with weights that
    have changed since. Memory and time grow with each step and old gradients are counted again. Accumulate loss.item() instead.
    """
    closed = [w for w in windows(case) if len(w.named("backward")) == 1]
    if len(closed) < least + 1:
        yield Skip("too few steps with one backward were looked at", "")
        return
    retained = [w for w in closed if w.named("backward")[0].get("retain_graph")]
    if len(retained) < max(least, 0.8 * len(closed)):
        yield Clear("no graph is retained from step to step")
        return
    # The differentiated value is a running total where it exceeds the losses of its own step ever more.
    own: dict[int, float] = {}
    for call in case.events("loss_call", grad=True):
        own[call["step"]] = own.get(call["step"], 0.0) + abs(call.get("value") or 0.0)
    excess = [abs(w.named("backward")[0]["value"]) / own[w.step] for w in retained[: 4 * least] if own.get(w.step)]
    totals = [abs(w.named("backward")[0]["value"]) for w in retained[: 4 * least]]
    growing = len(excess) >= least and share(b > a for a, b in pairwise(totals)) > 0.7 and max(excess) > 1.5
    if own and not growing:
        yield Clear("graphs are retained within a step, not accumulated over steps")
        return
    site = commonest_site(c for w in retained for c in w.named("backward"))
    times = [seconds for r in case.metrics if (seconds := r.get("step_time"))]
    slower = median(times[-5:]) / max(median(times[1:6]), 1e-9) if len(times) > 12 else None
    yield Finding(
        title=f"the graph is retained: backward(retain_graph=True) at {where(site)} runs on a loss accumulated over steps, "
        f"so all earlier "
        "batches are differentiated again",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps that retain the graph", f"{len(retained)} of {len(closed)}", "0", "events.jsonl"),
            Evidence("differentiated value / loss of the step itself, step by step", [round(v, 2) for v in excess[:8]], "1"),
            *((Evidence("time of a step, last / first", round(slower, 2), "1"),) if slower else ()),
        ),
        location=Location.of(site),
        onset_step=int(retained[0].step),
        fix=Fix("Call loss.backward() on the step's own loss, without retain_graph, and accumulate loss.item() for printing."),
    )
