"""The recursion's state grows at every step."""

from collections.abc import Iterator
from itertools import pairwise

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.recursion import example_recursion, recursions
from cognate.rules.training import number, where


@rule(
    code="ACT123",
    name="act-recursion-diverges",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={
        "loss-diverging", "loss-nonfinite", "loss-not-decreasing", "grad-exploding", "opt-lr-too-high", "num-unstable-expression",
    },
    sources={
        "growth": "our calibration: a residual sum of ten equal steps grows tenfold and trains; twenty is beyond it",
        "grave": "our calibration: a hundredfold state is read out as a first loss far above a guess",
        "ratio": "taxonomy, act-recursion-diverges: 1.05 a step; a sum that grows by equal steps falls below 1.2 after six",
        "early": "our calibration: later windows may show what a learning rate did to the weights, the first ones do not",
    },
    fires=Example(trace=example_recursion([1.0, 2.8, 8.0, 23.0, 66.0, 190.0])),
    quiet=Example(trace=example_recursion([1.0, 1.5, 2.0, 2.4, 2.7, 3.0])),
)  # fmt: skip
def act_recursion_diverges(
    case: Case, *, growth: float = 20.0, grave: float = 100.0, ratio: float = 1.2, early: int = 2
) -> Iterator[Said]:
    """The recursion diverges: its state grows at every step by a constant factor, from the first forward on.

    What is read out after the last step is then huge and so is its gradient; a few steps more overflow. Usual reasons: a residual
    sum without a norm, a matrix with a gain above one and no squashing, a gate that adds and never forgets. Growth that a norm
    takes away before the state is used again does no harm and is not seen here; nor does a sum that grows by equal steps.
    """
    known = [(graph, recursions(graph, 4)) for graph in flows(case)]
    if not any(found for _, found in known):
        yield Skip("no recursion of four or more steps was seen in the traced steps", "")
        return
    worst = None
    for _, found in known:
        for name, nodes in found.items():
            grown = _growth(nodes, ratio)
            if nodes[0]["w"] <= early and grown >= growth and (worst is None or grown > worst[0]):
                worst = (grown, name, nodes)
    # A state that stops growing once the weights have settled was no obstacle.
    settled = worst and any(
        worst[1] in found and graph.nodes[0]["w"] > early and _growth(found[worst[1]], ratio) < growth for graph, found in known
    )
    if worst is None or settled:
        yield Clear("the state of the recursion keeps its size from step to step")
        return
    grown, name, nodes = worst
    sizes = [node.get("rms") for node in nodes]
    site = nodes[0].get("site")
    yield Finding(
        title=f"the recursion at {where(site)} diverges: its state grows from {number(sizes[0])} to {number(sizes[-1])} within "
        f"the {len(nodes)} steps of one forward",
        proof=Proof.MEASUREMENT,
        severity=None if grown >= grave else Severity.WARNING,
        evidence=(
            Evidence(f"size (RMS) of what {name} gives out, step by step", [number(s) for s in sizes[:12]], "about the same",
                     f"trace, step {nodes[0]['w']}"),
            Evidence("first training loss", number(next((r.get("loss") for r in case.metrics), None))),
        ),
        location=Location.of(site, nodes[0].get("m")),
        onset_step=0,
        fix=Fix("Normalise the state at every step (LayerNorm, RMSNorm), or squash it; start with a gain of one or below."),
    )  # fmt: skip


def _growth(nodes: list[dict], ratio: float) -> float:
    """How often the last state is as large as the first, where every step of the second half grows by `ratio`; else 1."""
    sizes = [node.get("rms", 0.0) for node in nodes]
    if sizes[0] and any(size is None for size in sizes):
        return float("inf")
    if not all(sizes):
        return 1.0
    late = sizes[len(sizes) // 2 :]
    steady = all(b >= ratio * a for a, b in pairwise(late))
    return sizes[-1] / sizes[0] if steady and len(late) >= 2 else 1.0
