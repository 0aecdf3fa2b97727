"""A term summed over the batch stands beside one averaged over it."""

from collections.abc import Iterator
from math import prod

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, flows
from cognate.rules.training import number, where

_SITE = {"file": "t.py", "line": 35, "function": "vae_loss"}
MEANS = (
    "mean",
    "mse_loss",
    "cross_entropy",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "l1_loss",
    "smooth_l1_loss",
)
# Errors between two tensors of one shape: their mean is over all elements of all samples.
ELEMENTWISE = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits")


def _parts(reduction: str) -> dict:
    trace = []
    for w in (1, 40):
        base = {"w": w, "ig": True, "g": True}
        trace += [
            base | {"i": 0, "op": "mse_loss", "in": [], "shapes": [[60, 64], [60, 64]], "shape": [], "a": {}, "v": 1.0},
            base | {"i": 1, "op": reduction, "in": [], "shapes": [[60, 8]], "shape": [], "a": {}, "site": _SITE, "v": 50.0},
            base | {"i": 2, "op": "mul", "in": [1], "shape": [], "a": {"scalar": -0.5}, "site": _SITE, "v": 25.0},
            base | {"i": 3, "op": "add", "in": [0, 2], "shape": [], "a": {}, "site": _SITE, "v": 26.0},
            {"w": w, "root": 3, "nodes": 4},
        ]
    blind = {"real": 1.0, "shifted": 1.001, "label_entropy": None}
    return {"trace": trace, "probes": [{"probe": "input_dependence", "status": "ok", "step": 200, "result": blind}]}


@rule(
    code="LOSS109",
    name="loss-aux-dominates",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"data-input-label-misaligned", "loss-not-decreasing"},
    sources={
        "gap": "our calibration: the first term does not depend on the input where dealing samples to others changes it by "
        "under 5 %",
        "heavy": "taxonomy, loss-aux-dominates: more than ten times (a proposal there), as a factor in the source",
        "weight": "our calibration: a factor under a hundredth on the sum is a deliberate weight such as batch/data-set size",
    },
    fires=Example(**_parts("sum")),
    quiet=Example(**_parts("mean")),
)
def loss_aux_dominates(case: Case, *, gap: float = 0.05, weight: float = 0.01, heavy: float = 10.0) -> Iterator[Said]:
    """An auxiliary term dominates: it is summed over the batch while the main loss is averaged, so the model serves it alone.

    A KL or penalty term reduced by sum() beside a mean reconstruction error weighs as many times more as there are elements. The
    latent collapses and the output no longer depends on the input. Reported only where that has happened.
    """
    graphs = flows(case)
    if not graphs:
        return
    mixed = next(
        (
            found
            for graph in graphs
            if (found := _mixed(graph, weight) or _weighted(graph, heavy) or _summed_within(graph, heavy))
        ),
        None,
    )
    late = [p for p in case.probe("input_dependence") if p["step"] >= 40 and p["result"].get("real")]
    if mixed is None:
        yield Clear("no term summed over the batch is added to one averaged over it")
        return
    if not late:
        yield Skip("whether the main loss still depends on the input could not be tested", "run longer")
        return
    result = late[-1]["result"]
    dependence = (result["shifted"] - result["real"]) / abs(result["shifted"]) if result["shifted"] else 1.0
    if dependence > gap:
        yield Clear(f"a summed and an averaged term are added, yet the main loss depends on the input ({dependence:.0%})")
        return
    total, reason = mixed
    yield Finding(
        title=f"the auxiliary term at {where(total.get('site'))} dominates: it {reason}, and the model ignores its input",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence(
                "main loss on the real batch / with another batch's input",
                [result["real"], result["shifted"]],
                "far apart",
                f"step {late[-1]['step']}",
            ),
            Evidence("the auxiliary term", reason, "weighed like the main loss"),
            Evidence("its value when traced", number(total.get("v"))),
        ),
        location=Location.of(total.get("site")),
        onset_step=0,
        fix=Fix(
            "Weigh both terms alike: the same reduction (sum or mean over the batch) and a weight near one, annealed if need be."
        ),
    )


def _unbalanced(graph: Flow, weight: float, heavy: float) -> tuple[dict, str] | None:
    return _mixed(graph, weight) or _weighted(graph, heavy) or _summed_within(graph, heavy)


def _weighted(graph: Flow, heavy: float) -> tuple[dict, str] | None:
    """A scalar term whose factors multiply to `heavy` times those of the term that it is added to."""
    for node in graph.find(lambda n: n["op"] in ("add", "radd", "iadd") and n.get("shape") == [] and n.get("g", False)):
        factors = [(_factor(graph, graph.nodes[i]), graph.nodes[i]) for i in node.get("in", ())]
        if len(factors) == 2 and all(part.get("g") for _, part in factors):
            (low, _), (high, term) = sorted(factors, key=lambda item: item[0])
            if high >= heavy and high >= heavy * low:
                return term, f"has a weight of {high:g} against {low:g} of the main loss"
    return None


def _factor(graph: Flow, node: dict) -> float:
    factor = 1.0
    for _ in range(4):
        scalar = node.get("a", {}).get("scalar")
        if node["op"] not in ("mul", "rmul", "div", "truediv") or not isinstance(scalar, (int, float)) or not node.get("in"):
            break
        factor = factor * abs(scalar) if "mul" in node["op"] else factor / max(abs(scalar), 1e-30)
        node = graph.nodes[node["in"][0]]
    return factor


def _mixed(graph: Flow, weight: float) -> tuple[dict, str] | None:
    for node in graph.find(lambda n: n["op"] in ("add", "radd", "sub", "iadd") and n.get("shape") == [] and n.get("g", False)):
        parts = [_reduction(graph, graph.nodes[i], weight) for i in node.get("in", ())]
        sums = [p for p in parts if p and p[0] == "sum"]
        if sums and any(p and p[0] == "mean" for p in parts):
            return sums[0][1], f"is summed over the batch ({sums[0][2]} elements) while the main loss is averaged"
    return None


def _summed_within(graph: Flow, heavy: float) -> tuple[dict, str] | None:
    """A term summed within each sample beside an error averaged over the elements of the samples, `heavy` of them or more."""
    for node in graph.find(lambda n: n["op"] in ("add", "radd", "sub", "iadd") and n.get("shape") == [] and n.get("g", False)):
        given = [graph.nodes[i] for i in node.get("in", ())]
        errors = [n for n in given if n["op"] in ELEMENTWISE and n.get("a", {}).get("reduction", "mean") == "mean"]
        elements = prod((errors[0].get("shapes") or [[]])[0][1:]) if errors else 0
        for term in given:
            if elements >= heavy and term not in errors and (mean := _mean_of_sums(graph, term)):
                return mean, f"is summed within each sample while the main loss is averaged over the {elements} elements of it"
    return None


def _mean_of_sums(graph: Flow, node: dict) -> dict | None:
    """The mean over the batch, of sums within its samples, that `node` is, but for a factor near one."""
    for _ in range(3):
        if node["op"] == "mean" and node.get("in"):
            within = graph.nodes[node["in"][0]]
            while within["op"] in ("mul", "rmul", "neg", "div", "truediv") and len(within.get("in", ())) == 1:
                within = graph.nodes[within["in"][0]]
            return node if within["op"] == "sum" and len(within.get("shape", [])) == 1 else None
        scalar = node.get("a", {}).get("scalar", 1.0)
        if node["op"] not in ("mul", "rmul", "neg") or len(node.get("in", ())) != 1 or not 0.2 <= abs(scalar) <= 5:
            return None
        node = graph.nodes[node["in"][0]]
    return None


def _reduction(graph: Flow, node: dict, weight: float) -> tuple[str, dict, int] | None:
    """("sum" or "mean", node, elements) of the reduction that made a scalar term, through scalar factors."""
    for _ in range(8):
        if node["op"] == "sum" and not node.get("a", {}).get("dim") and node.get("shape") == []:
            shape = (node.get("shapes") or [[]])[0]
            size = 1
            for n in shape:
                size *= n
            return ("sum", node, size) if len(shape) >= 1 and size >= 16 else None
        if node["op"] in MEANS:
            return "mean", node, 0
        scalar = node.get("a", {}).get("scalar")
        if node["op"] in ("div", "truediv") and isinstance(scalar, (int, float)) and scalar >= 2:
            return "mean", node, 0  # divided by a batch size, whatever its name
        if isinstance(scalar, (int, float)) and abs(scalar) < weight:
            return "mean", node, 0
        if not node.get("in"):
            return None
        node = graph.nodes[node["in"][0]]
    return None
