"""The ponder cost is summed over the batch."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import RESHAPES, Flow, flows
from cognate.rules.halting import halting_parameters
from cognate.rules.training import where

_SITE = {"file": "t.py", "line": 70, "function": "loss"}
# What may stand between a sum and the objective and leave the scale to a coefficient.
_KEEPS = {"mul", "rmul", "add", "radd", "iadd", "sub", "rsub", "sum", "imul"} | RESHAPES


def _trace(reduce: str) -> list[dict]:
    base = {"w": 1, "ig": True, "g": True}
    return [
        base
        | {
            "i": 0,
            "op": "linear",
            "in": [],
            "p": ["halt.weight"],
            "x": ["input0"],
            "shapes": [[32, 8], [1, 8]],
            "shape": [32, 1],
        },
        base | {"i": 1, "op": "sigmoid", "in": [0], "shape": [32, 1], "shapes": [[32, 1]]},
        base | {"i": 2, "op": reduce, "in": [1], "shape": [], "shapes": [[32, 1]], "a": {}, "site": _SITE},
        base | {"i": 3, "op": "mul", "in": [2], "shape": [], "shapes": [[]], "a": {"scalar": 0.01}},
        base | {"i": 4, "op": "cross_entropy", "in": [0], "shape": [], "shapes": [[32, 4], [32]], "a": {}},
        base | {"i": 5, "op": "add", "in": [4, 3], "shape": [], "shapes": [[], []]},
        {"w": 1, "root": 5, "nodes": 6},
    ]


@rule(
    code="ACT125",
    name="act-ponder-scale-batch",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace"},
    explains={"act-halt-collapse-min", "loss-aux-dominates", "loss-reduction-scale", "act-steps-constant"},
    sources={"least": "taxonomy, act-ponder-scale-batch: 5 % with the batch; a sum over eight or more samples is far beyond"},
    fires=Example(trace=_trace("sum")),
    quiet=Example(trace=_trace("mean")),
)
def act_ponder_scale_batch(case: Case, *, least: int = 8) -> Iterator[Said]:
    """The ponder cost is summed over the batch while the task's loss is a mean: its weight grows with every sample and token.

    A coefficient that suits one batch size is many times too strong at another, and halting collapses to the first step. Take the
    mean over samples and tokens; a sum over steps is meant and left alone, as is an objective in which everything is summed.
    """
    looked = False
    for graph in flows(case):
        heads = halting_parameters(graph)
        if not heads or graph.root is None:
            continue
        looked = True
        size = _samples(graph)
        if size < least or _task_is_summed(graph):
            continue
        for node in _sums(graph, heads, size):
            count = _elements(node["shapes"][0])
            yield Finding(
                title=f"the ponder cost is summed at {where(node.get('site'))}: {count} terms, while the task's loss "
                "is a mean, so that its weight grows with the batch",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("shape that is summed up, samples in the batch", [node["shapes"][0], size], "a mean",
                             f"trace, step {node['w']}"),
                    Evidence("reduction of the task's loss", "mean"),
                ),
                location=Location.of(node.get("site")),
                onset_step=0,
                fix=Fix(f"Take .mean() over samples and tokens (the coefficient times {count} keeps its strength)."),
            )  # fmt: skip
            return
    if looked:
        yield Clear("no cost of the halting head is summed over the batch")
    else:
        yield Skip("no halting head was recognised in the traced steps", "")


def _samples(graph: Flow) -> int:
    for node in graph.nodes:
        if node.get("x") and node.get("shapes") and node["shapes"][0]:
            return int(node["shapes"][0][0])
    return 0


def _elements(shape: list[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def _task_is_summed(graph: Flow) -> bool:
    losses = [n for n in graph.nodes if n["op"] in ("cross_entropy", "nll_loss", "mse_loss", "binary_cross_entropy_with_logits",
                                                    "binary_cross_entropy", "l1_loss", "smooth_l1_loss")]  # fmt: skip
    return not losses or any(n.get("a", {}).get("reduction") == "sum" for n in losses)


def _sums(graph: Flow, heads: list[str], size: int) -> Iterator[dict]:
    """Sums to one number over what comes from a halting head for each sample, that reach the objective whole."""
    found = {n["i"]: n for name in heads for use in graph.using(name) for n in _costs(graph, use)}
    for _, node in sorted(found.items()):
        given = (node.get("shapes") or [[]])[0]
        if node["op"] == "sum" and node.get("shape") == [] and size in given and _whole(graph, node):
            yield node


def _costs(graph: Flow, use: dict) -> Iterator[dict]:
    """What follows from the head alone: operations from it to the first layer or loss."""
    waiting, seen = [use["i"]], set()
    while waiting:
        index = waiting.pop()
        node = graph.nodes[index]
        if index in seen or (index != use["i"] and node.get("p")) or node["op"].endswith("_loss") or "entropy" in node["op"]:
            continue
        seen.add(index)
        yield node
        waiting.extend(graph.users.get(index, ()))


def _whole(graph: Flow, node: dict) -> bool:
    """Whether the sum reaches the objective without being divided."""
    waiting, seen = [node["i"]], set()
    while waiting:
        index = waiting.pop()
        if index == graph.root:
            return True
        if index in seen:
            continue
        seen.add(index)
        waiting.extend(u for u in graph.users.get(index, ()) if u == graph.root or graph.nodes[u]["op"] in _KEEPS)
    return False
