"""A logarithm or root of something that can be zero made the loss non-finite."""

from collections.abc import Iterator

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import RESHAPES, flows
from cognate.rules.training import where

_SITE = {"file": "t.py", "line": 22, "function": "loss"}
RISKY = {
    "log": ("softmax", "sigmoid", "relu", "exp", "mul", "sub", "rsub"),
    "sqrt": ("sum", "mean", "pow", "var", "mul"),
    "div": (),
}


def _parts(value: object) -> dict:
    trace = [
        {"w": 1, "i": 0, "op": "softmax", "in": [], "ig": True, "g": True, "site": _SITE},
        {"w": 1, "i": 1, "op": "log", "in": [0], "ig": True, "g": True, "site": _SITE},
        {"w": 1, "root": 1, "nodes": 2},
    ]
    metrics = [{"step": s, "loss": 1.0} for s in range(10)] + [
        {"step": 10, "loss": value, "nonfinite": {"loss": "nan"} if value is None else {}}
    ]
    return {"trace": trace, "metrics": metrics}


@rule(
    code="NUM103",
    name="num-unstable-expression",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace", "metrics.loss"},
    explains={"loss-nonfinite", "loss-diverging", "grad-exploding", "opt-lr-too-high"},
    sources={},
    fires=Example(**_parts(None)),
    quiet=Example(**_parts(0.9)),
)
def num_unstable_expression(case: Case) -> Iterator[Said]:
    """An unstable expression makes the loss NaN: log of a probability that reaches zero, or a root at zero, without epsilon.

    log(softmax(x)) and log(sigmoid(x)) underflow to log(0); the gradient of sqrt at zero is infinite. Use log_softmax,
    logsigmoid, cross_entropy, or clamp and add an epsilon. Reported as a cause only where the loss did become non-finite.
    """
    losses = loss_series(case)
    broken = losses is not None and any(v is None for v in losses.values)
    born = _birth(case) if broken else None
    if born:
        node, window = born
        yield Finding(
            title=f"`{node['op']}` at {where(node.get('site'))} makes the first non-finite values: {_reason(node)} "
            "makes the loss NaN",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(
                    "share of NaN / inf in its output", [node.get("nan"), node.get("inf")], "0", f"trace.jsonl, step {window}"
                ),
                Evidence("its inputs", "finite, as far as they were traced"),
            ),
            location=Location.of(node.get("site"), node.get("m")),
            onset_step=window,
            fix=Fix("Use the fused form (log_softmax, kl_div, cross_entropy, xlogy), or clamp the argument: x.clamp_min(1e-8)."),
        )
        return
    for graph in flows(case):
        for node in graph.find(lambda n: n["op"] in ("log", "sqrt") and n.get("g", False)):
            made = graph.producer(node, RESHAPES)
            if made is None or made["op"] not in RISKY[node["op"]]:
                continue
            if not broken:
                continue
            onset = next((i for i, v in enumerate(losses.values) if v is None), 0)  # type: ignore[union-attr]
            yield Finding(
                title=f"`{node['op']}` of `{made['op']}` at {where(node.get('site'))} has no epsilon: it reaches "
                f"{node['op']}(0) and makes "
                "the loss non-finite",
                proof=Proof.INFERENCE,
                evidence=(
                    Evidence("operation before it", made["op"], "clamped away from 0", f"trace.jsonl, step {node['w']}"),
                    Evidence("first non-finite loss at step", onset),
                ),
                location=Location.of(node.get("site")),
                onset_step=onset,
                fix=Fix("Use the fused form (log_softmax, logsigmoid, cross_entropy), or clamp the argument: x.clamp_min(1e-8)."),
            )
            return
    yield Clear("the loss stayed finite" if not broken else "no unguarded logarithm or root was seen in the traced steps")


BIRTHS = (
    "log",
    "log2",
    "log10",
    "log1p",
    "sqrt",
    "rsqrt",
    "div",
    "truediv",
    "rtruediv",
    "reciprocal",
    "pow",
    "exp",
    "acos",
    "asin",
    "norm",
)


ROWS = ("softmax", "log_softmax", "scaled_dot_product_attention")


def _birth(case: Case) -> tuple[dict, int] | None:
    """The first operation, in order, whose output is non-finite while all that it depends on is finite."""
    for graph in flows(case):
        for node in graph.nodes:
            # Masks are -inf on purpose; a row in which everything is masked has no softmax.
            masked = node["op"] in ROWS and node.get("nan") and node.get("site")
            if masked and not any(source.get("nan") for source in graph.upstream(node)):
                return node, node["w"]
            if not (node.get("nan") or node.get("inf")) or node["op"] not in BIRTHS:
                continue
            tainted = any(source.get("nan") or source.get("inf") for source in graph.upstream(node))
            spread = any(other.get("nan") for other in graph.downstream(node)) or node.get("nan")
            # Parameters that are NaN already poison the window from its start; then nothing is born here.
            first = next((n for n in graph.nodes if n.get("nan")), node)
            if not tainted and spread and first["i"] >= node["i"] - 1 and node.get("site"):
                return node, node["w"]
    return None


def _reason(node: dict) -> str:
    if node["op"] in ROWS:
        return "a fully masked row (every score is -inf)"
    return "log, division or root of something that can be zero"
