"""The loss is summed over the batch."""

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.case.series import block_medians
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, flows
from cognate.rules.places import criterion
from cognate.rules.training import commonest_site, train_losses, where

_SITE = {"file": "t.py", "line": 40, "function": "main"}


def _parts(reduction: str) -> dict:
    base = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "coefficient": 1.0, "site": _SITE, "reduction": reduction}
    events = [base | {"step": s, "input": {"shape": [64, 10]}} for s in range(8)]
    trace = [{"w": 1, "i": 0, "op": "cross_entropy", "in": [], "g": True, "shape": []}, {"w": 1, "root": 0, "nodes": 1}]
    return {"events": events, "trace": trace}


@rule(
    code="LOSS110",
    name="loss-reduction-scale",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.loss_call", "trace"},
    explains={"loss-diverging", "loss-nonfinite", "opt-lr-too-high", "grad-exploding", "loss-not-decreasing", "model-dead-relu"},
    sources={
        "calls": "the coefficient is exact; five calls rule out one special batch",
        "usual": "our calibration: healthy steps move the weights by about a thousandth of their size, twenty times that is none",
    },
    fires=Example(**_parts("sum")),
    quiet=Example(**_parts("mean")),
)
def loss_reduction_scale(case: Case, *, calls: int = 5, usual: float = 0.02) -> Iterator[Said]:
    """The loss is summed over the batch, not averaged: gradients and the effective learning rate grow with the batch size.

    reduction="sum" with a rate that was chosen for a mean makes steps as many times too large as there are samples. Sums that are
    divided afterwards, sums that stand beside other terms (an ELBO), and sums whose rate fits are left alone.
    """
    looked = [c for c in train_losses(case) if c.get("reduction") == "sum" and c.get("coefficient")]
    if not train_losses(case):
        yield Skip("no torch loss was computed in training", "")
        return
    alone = [g for g in flows(case) if _root(g) in {c["fn"] for c in looked}]
    whole = [c for c in looked if abs(c["coefficient"] - 1) < 1e-6]
    if len(whole) < calls or not alone:
        yield Clear("the losses are averaged, divided, or terms of a larger sum")
        return
    if _learns(case, usual):
        yield Clear("a loss that is summed over the batch is alone, but its learning rate fits: the loss falls in small steps")
        return
    site = commonest_site(whole)
    size = (whole[0].get("input", {}).get("shape") or [0])[0]
    yield Finding(
        title=f"{whole[0]['fn']} at {where(site)} is summed over the batch instead of averaged: gradients are {size} times "
        f"those of the mean",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("training losses with reduction='sum' that nothing divides", len(whole), "0", "events.jsonl"),
            Evidence("samples in a batch", size),
        ),
        location=Location.of(criterion(case, site, whole[0]["fn"], "reduction", "sum") or site),
        onset_step=0,
        fix=Fix("Use reduction='mean', or divide by the number of samples or tokens."),
    )


def _root(graph: Flow) -> str | None:
    """The operation that backward was called on, behind factors: accelerate divides by one where nothing is accumulated."""
    node = graph.nodes[graph.root] if graph.root is not None else None
    while node and node["op"] in ("mul", "rmul", "div", "truediv") and "scalar" in node.get("a", {}) and node.get("in"):
        node = graph.nodes[node["in"][0]]
    return node["op"] if node else None


def _learns(case: Case, usual: float) -> bool:
    """Whether the loss falls in steps of a usual size: the rate was chosen for the sum, or the optimizer ignores scale."""
    curve = loss_series(case)
    levels = block_medians([v for v in curve.values if v is not None], 10) if curve and None not in curve.values else []
    ratios = [ratio for row in case.metrics if (ratio := row.get("update_ratio")) is not None]
    return len(levels) > 1 and levels[-1] < 0.9 * levels[0] and bool(ratios) and median(ratios) <= usual
