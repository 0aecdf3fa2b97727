"""An operation cuts the gradient of parameters that the optimizer is meant to train."""

from collections import Counter
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.constants_in_loss import cut_derivative, cut_sample
from cognate.rules.flow import COMPARISONS, CUTS, Flow, flows
from cognate.rules.halting import is_halting
from cognate.rules.training import short, starved, where

_SITE = {"file": "model.py", "line": 12, "function": "forward"}
_PARAMETERS = [
    {"name": "encoder.weight", "requires_grad": True, "grad": "none", "windows": 8, "optimizer": "optimizer#0", "shape": [4, 4]},
    {"name": "head.weight", "requires_grad": True, "grad": "present", "windows": 8, "optimizer": "optimizer#0", "shape": [2, 4]},
]
_TRACE: list[dict] = [
    {"w": 1, "i": 0, "op": "linear", "in": [], "p": ["encoder.weight"], "ig": True, "g": True, "site": _SITE},
    {"w": 1, "i": 1, "op": "detach", "in": [0], "ig": True, "g": False, "site": _SITE},
    {"w": 1, "i": 2, "op": "linear", "in": [1], "p": ["head.weight"], "ig": True, "g": True, "site": _SITE},
    {"w": 1, "root": 2, "nodes": 3},
]


def cut_of(graph: Flow, names: list[str]) -> tuple[dict, int] | None:
    """The operation at which most of the parameters `names` lose their gradient, and how many do."""
    ends: Counter[int] = Counter()
    for name in names:
        for node in graph.cuts(name):
            if node["op"] in CUTS or node["op"] in COMPARISONS:
                ends[node["i"]] += 1
    if not ends:
        return None
    index, count = min(ends.items(), key=lambda item: (-item[1], item[0]))
    return graph.nodes[index], count


@rule(
    code="GRAD104",
    name="grad-graph-broken",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model", "trace"},
    explains={"grad-none-or-zero-param", "loss-not-decreasing", "data-input-label-misaligned"},
    core=True,
    sources={
        "least": "known trap, step-0 artefacts: re-check after two effective steps, zero-initialised neighbours move by then"
    },
    fires=Example(model={"roots": [{"cls": "Net", "parameters": _PARAMETERS}]}, trace=_TRACE),
    quiet=Example(
        model={"roots": [{"cls": "Net", "parameters": [p | {"grad": "present"} for p in _PARAMETERS]}]},
        trace=[_TRACE[0], _TRACE[1] | {"op": "relu", "g": True}, _TRACE[2], _TRACE[3]],
    ),
)
def grad_graph_broken(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The graph is cut: a detach, item, numpy, argmax or no_grad between parameters and loss stops their gradient.

    The part of the model before the cut is in the optimizer but never learns; the part behind it learns on random features.
    Usual places: `.detach()` or `.data` left from debugging, a loss rebuilt with torch.tensor(loss.item()), a hard argmax, a
    block under torch.no_grad(), a sample drawn with `.sample()` where `.rsample()` was meant.
    """
    dead = [p["name"] for p in starved(case, least) if not is_halting(p["name"])]
    if not dead:
        for graph in flows(case):
            if sample := cut_sample(graph):
                yield _sample_finding(*sample)
                return
            if derivative := cut_derivative(graph):
                yield _derivative_finding(derivative)
                return
        yield Clear("every trainable parameter that an optimizer owns received a gradient")
        return
    for graph in flows(case):
        if any(graph.reaches_root(name) for name in dead):
            continue
        found = cut_of(graph, dead)
        used = [name for name in dead if graph.using(name)]
        without_grad = [node for name in used for node in graph.using(name) if not node.get("g", False)]
        if found:
            node, count = found
            what = f"`{node['op']}` at {where(node.get('site'))} cuts the graph"
        elif used and len(without_grad) >= len(used):
            node, count = without_grad[0], len(used)
            what = f"the forward of {used[0].rpartition('.')[0] or 'the model'} at {where(node.get('site'))} runs under no_grad"
        else:
            continue
        yield Finding(
            title=f"{what}: no gradient reaches {short(dead)} although the optimizer is meant to train them",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("parameters whose .grad stayed None", len(dead), "0", "model.json"),
                Evidence("of these, lost at this operation", count, "", f"trace.jsonl, step {node['w']}"),
            ),
            location=Location.of(node.get("site"), dead[0].rpartition(".")[0]),
            onset_step=0,
            fix=Fix(
                "Remove the cut, or use a differentiable operation in its place, so that the loss depends on these parameters."
            ),
        )
        return


def _sample_finding(sample: dict, layer: dict) -> Finding:
    """A learned distribution whose samples carry no gradient: its mean and spread are trained by the other terms alone."""
    return Finding(
        title=f"the sample drawn at {where(sample.get('site'))} carries no gradient: the layers that make its mean and spread "
        f"learn nothing from the loss of what {short(list(layer['p'])[:1])} makes of it",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("gradient of the sample", False, "mean + spread · noise, with it", f"trace.jsonl, step {sample['w']}"),
            Evidence("operation", sample["op"] + (" under no_grad" if sample.get("off") else "")),
        ),
        location=Location.of(sample.get("site"), None),
        onset_step=0,
        fix=Fix(
            "Draw it with gradients on: mean + spread * torch.randn_like(spread) outside no_grad, or rsample() for sample()."
        ),
    )


def _derivative_finding(derivative: dict) -> Finding:
    return Finding(
        title=f"the derivative taken at {where(derivative.get('site'))} is a constant to backward: the loss depends on it, and "
        "no gradient flows through it",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("gradient of the derivative", False, "with it", f"trace.jsonl, step {derivative['w']}"),
            Evidence("of shape", derivative.get("shape")),
        ),
        location=Location.of(derivative.get("site"), None),
        onset_step=0,
        fix=Fix("Pass create_graph=True to torch.autograd.grad, so that the derivative can be differentiated again."),
    )
