"""Halting weights do not sum to one."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import RESHAPES, Flow, flows
from cognate.rules.halting import halting_parameters
from cognate.rules.training import where

_SITE = {"file": "model.py", "line": 60, "function": "loss"}


def _trace(low: float) -> list[dict]:
    sums = {"0": {"1": [low, 1.0]}}
    return [
        {"w": 1, "i": 0, "op": "linear", "in": [], "p": ["halt.weight"], "ig": True, "g": True, "shape": [4, 1]},
        {"w": 1, "i": 1, "op": "sigmoid", "in": [0], "ig": True, "g": True, "shape": [4, 1]},
        {"w": 1, "i": 2, "op": "stack", "in": [1], "ig": True, "g": True, "shape": [4, 6]},
        {"w": 1, "i": 3, "op": "mul", "in": [2, 0], "sums": sums, "ig": True, "g": True, "shape": [4, 6], "site": _SITE},
        {"w": 1, "i": 4, "op": "sum", "in": [3], "a": {"dim": 1}, "ig": True, "g": True, "shape": [4], "site": _SITE},
        {"w": 1, "root": 4, "nodes": 5},
    ]


@rule(
    code="ACT104",
    name="act-weights-not-normalised",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"trace"},
    sources={"tolerance": "taxonomy, act-weights-not-normalised: 1e-3; ten times that for half precision"},
    fires=Example(trace=_trace(0.4)),
    quiet=Example(trace=_trace(1.0)),
)
def act_weights_not_normalised(case: Case, *, tolerance: float = 0.01) -> Iterator[Said]:
    """Halting weights do not sum to one: the remainder is missing, so part of the probability mass is in no step.

    Losses or states are mixed over steps by halting probabilities. Where the last step does not take what is left (1 minus the
    sum of the others), the mixture shrinks, and never halting becomes the cheapest answer to any loss.
    """
    looked = False
    for graph in flows(case):
        heads = set(halting_parameters(graph))
        for node in graph.find(lambda n: bool(n.get("sums")) and n.get("g", False)) if heads else ():
            reduction = _summed(graph, node)
            sources = node.get("in", ())
            if reduction is None or len(sources) < 2:
                continue
            dim = str(reduction["a"]["dim"] % len(node["shape"]))
            # Only the factor that comes from the head is a weight; the other one may lie in [0, 1] by chance.
            ranges = [r[dim] for k, r in node["sums"].items() if dim in r and _from_head(graph, sources[int(k)], heads)]
            if not ranges:
                continue
            looked = True
            low, high = ranges[0]
            if max(abs(low - 1), abs(high - 1)) <= tolerance:
                continue
            site = node.get("site") or reduction.get("site")
            yield Finding(
                title=f"halting weights do not sum to one: at {where(site)} they sum to {low:.3g}–{high:.3g} over the "
                f"steps, the remainder "
                "of the probability is in no step",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence(
                        "sum of the halting weights over the steps, smallest and largest",
                        [low, high],
                        "1",
                        f"trace, step {node['w']}",
                    ),
                ),
                location=Location.of(site),
                onset_step=int(node["w"]),
                fix=Fix(
                    "Give the last step the remainder: its weight is 1 minus the sum of the others (its halting "
                    "probability is 1)."
                ),
            )
            return
    if looked:
        yield Clear("the halting weights sum to one over the steps")
    else:
        yield Skip("no mixture over halting steps was recognised in the traced steps", "")


def _summed(graph: Flow, node: dict) -> dict | None:
    """The sum over one dimension that follows the product directly."""
    for index in graph.users.get(node["i"], ()):
        user = graph.nodes[index]
        if user["op"] == "sum" and isinstance(user.get("a", {}).get("dim"), int):
            return user
    return None


def _from_head(graph: Flow, start: int, heads: set[str]) -> bool:
    """Whether a factor comes from the halting head by way of a sigmoid and no other layer."""
    waiting, seen = [start], set()
    while waiting:
        index = waiting.pop()
        if index in seen:
            continue
        seen.add(index)
        source = graph.nodes[index]
        if heads & set(source.get("p", ())):
            return True
        if source["op"] in RESHAPES or source["op"] in (
            "sigmoid",
            "stack",
            "cat",
            "mul",
            "rsub",
            "sub",
            "cumprod",
            "clamp",
            "add",
            "ones_like",
        ):
            waiting.extend(source.get("in", ()))
    return False
