"""Where the first number that is not finite was born: the operation, its line, and what it was given."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from typing import Any

from cognate.case.case import Case
from cognate.case.curves import loss_series
from cognate.rules.flow import RESHAPES, Flow, Node, flows

# Names of an operation in the trace for its name in autograd's graph, where they differ.
ALIASES = {
    "div": {"div", "truediv", "rtruediv", "divide", "true_divide"},
    "pow": {"pow", "rpow", "ipow", "float_power"},
    "linalg_vector_norm": {"norm", "vector_norm", "linalg_norm"},
    "log_softmax": {"log_softmax", "cross_entropy"},
    "softmax": {"softmax", "multi_head_attention_forward"},
    "reciprocal": {"reciprocal", "rtruediv"},
}
ATTENTION = {"scaled_dot_product_attention", "multi_head_attention_forward"}
# Operations that can make a non-finite number of finite ones.
BIRTHS = {
    "log", "log2", "log10", "log1p", "sqrt", "rsqrt", "div", "truediv", "rtruediv", "reciprocal", "pow", "exp", "expm1",
    "acos", "asin", "atanh", "norm", "std", "var", "softmax", "log_softmax", "logsumexp", "prod", "cumprod", "cosh", "sinh",
} | ATTENTION  # fmt: skip


@dataclass(frozen=True)
class Birth:
    """One operation that made, or whose derivative made, the first non-finite number."""

    op: str
    step: int
    phase: str  # forward, or backward where the value is finite and its derivative is not
    site: dict[str, Any] | None
    module: str | None
    facts: dict[str, Any]  # the onset event, or the traced operation
    graph: Flow | None
    node: Node | None


@lru_cache(maxsize=2)
def birth(case: Case) -> Birth | None:
    """The first birth of the run; None where nothing was, where it came with the data, or where the weights already were it."""
    events = case.events("onset")
    if events:
        first = events[0]
        if first.get("nonfinite_weights"):
            return None
        exact = _traced(case, int(first["step"]))
        if exact is not None and first.get("phase") == "forward":
            graph, node = exact
            return Birth(
                _plain(node["op"]),
                int(first["step"]),
                "forward",
                node.get("site"),
                node.get("m"),
                {**node, **_telling(first)},
                graph,
                node,
            )
        if first.get("born") != "here":
            return None
        graph_, node_ = _by_order(case, first)
        site, module = (node_.get("site"), node_.get("m")) if node_ else (None, None)
        return Birth(first["op"], int(first["step"]), first["phase"], site, module, first, graph_, node_)
    for graph in flows(case):
        found = _traced(case, graph.nodes[0]["w"]) if graph.nodes else None
        if found is not None:
            graph, node = found
            return Birth(_plain(node["op"]), node["w"], "forward", node.get("site"), node.get("m"), node, graph, node)
    return None


def _telling(event: dict[str, Any]) -> dict[str, Any]:
    return {key: event[key] for key in ("min", "max", "share", "nan_rows", "dtype") if key in event}


def _plain(op: str) -> str:
    return next((name for name, others in ALIASES.items() if op in others and op not in ATTENTION), op)


def _traced(case: Case, window: int) -> tuple[Flow, Node] | None:
    """The first operation of a traced window that made NaN, or inf that became NaN, of finite numbers."""
    for graph in flows(case):
        if not graph.nodes or graph.nodes[0]["w"] != window:
            continue
        first = next((node for node in graph.nodes if node.get("nan")), None)
        for node in graph.nodes:
            if first is None or not (node.get("nan") or node.get("inf")) or node["op"] not in BIRTHS or not node.get("site"):
                continue
            if node["i"] > first["i"]:
                return None
            rows = node["op"] in ATTENTION or "softmax" in node["op"]
            tainted = any(source.get("nan") or (source.get("inf") and not rows) for source in graph.upstream(node))
            reaches = node is first or any(other["i"] == first["i"] for other in graph.downstream(node))
            if not tainted and reaches and (node.get("nan") or not rows):
                return graph, node
    return None


def _by_order(case: Case, event: dict[str, Any]) -> tuple[Flow | None, Node | None]:
    """The n-th operation of the onset's name in a traced window: the order of the operations is the same in each."""
    names = ALIASES.get(event["op"], {event["op"]})
    if str(event["op"]).startswith("scaled_dot_product"):
        names = {"scaled_dot_product_attention", "multi_head_attention_forward"}
    for graph in flows(case):
        found = graph.find(lambda node: node["op"] in names and node.get("g", False) and bool(node.get("site")))
        if found:
            return graph, found[min(int(event.get("nth") or 1), len(found)) - 1]
    return None, None


def masked(found: Birth) -> bool:
    """Whether a softmax was given rows in which everything is masked: -inf in what it takes, put there on purpose."""
    if "softmax" not in found.op and found.op not in ATTENTION and not found.op.startswith("scaled_dot_product"):
        return False
    if found.graph is None or found.node is None:
        return 0 < float(found.facts.get("nan_rows") or 0) < 1 and found.facts.get("dtype") != "float16"
    if found.node["op"] in ATTENTION or found.op.startswith("scaled_dot_product"):
        return True
    return any(source.get("inf") for source in found.graph.upstream(found.node))


# What people normalise by: it is zero for a constant column, an empty mask, or a vector of zeros.
SIZES = {
    "std",
    "var",
    "norm",
    "vector_norm",
    "linalg_norm",
    "sum",
    "mean",
    "max",
    "amax",
    "amin",
    "sub",
    "count_nonzero",
    "std_mean",
}


def zero_norm(found: Birth) -> Node | None:
    """For a division by zero: the operation that computed the size it divides by; None where it is anything else."""
    if found.op not in ("div", "reciprocal") or found.graph is None or found.node is None:
        return None
    sources = found.node.get("in", ())
    which = 0 if found.node["op"] in ("rtruediv", "reciprocal") else 1
    made = found.graph.producer(found.node, RESHAPES | {"abs", "sqrt", "pow"}, min(which, max(0, len(sources) - 1)))
    return made if made is not None and made["op"] in SIZES and not _added(made) else None


def _added(node: Node) -> bool:
    return "scalar" in (node.get("a") or {})


def ran_away(case: Case, step: int, growth: float = 100.0) -> str | None:
    """How the run was already exploding before `step`, in words; None where its numbers were of ordinary size.

    Then an overflow says nothing about the expression in which it shows.
    """
    losses = loss_series(case)
    pairs = list(zip(losses.steps, losses.values, strict=True)) if losses else []
    before = [abs(value) for at, value in pairs if at < step and value is not None]
    if before:
        base = median(before[: max(1, len(before) // 4)])
        if max(before[-3:]) > growth * max(base, 1e-6):
            return f"the loss had grown from {base:.3g} to {max(before[-3:]):.3g}"
    moved = [
        float(ratio) for row in case.metrics if int(row.get("step", 0)) < step and (ratio := row.get("update_ratio")) is not None
    ]
    if moved and max(moved[-3:]) > 1.0:
        return f"one step had moved the weights by {max(moved[-3:]):.2g} times their size"
    return None


def broken(case: Case) -> bool:
    """Whether a training loss became non-finite."""
    losses = loss_series(case)
    return losses is not None and any(value is None for value in losses.values)
