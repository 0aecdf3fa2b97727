"""Halted tokens keep being updated."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, flows
from cognate.rules.halting import comparisons, halting_parameters
from cognate.rules.training import where

_SITE = {"file": "model.py", "line": 44, "function": "forward"}
# Operations through which a decision, or a probability, can act on a state that it did not make.
_GATES = {
    "mul", "rmul", "imul", "where", "masked_fill", "masked_scatter", "masked_select", "setitem", "getitem", "index_put",
    "index_copy", "index_add", "index_select", "gather", "scatter", "lerp", "addcmul", "bmm", "matmul", "rmatmul", "einsum",
    "baddbmm", "div", "truediv", "scaled_dot_product_attention",
}  # fmt: skip


def _trace(gated: bool) -> list[dict]:
    rows: list[dict] = []

    def add(op: str, given: list[int], **more: object) -> int:
        rows.append({"w": 1, "i": len(rows), "op": op, "in": given, "ig": True, "g": True, "shape": [8, 4], "site": _SITE} | more)
        return len(rows) - 1

    state = add("linear", [], p=["read.weight"])
    for _ in range(4):
        new = add("linear", [state], p=["cell.weight"])
        p = add("sigmoid", [add("linear", [new], p=["halt.weight"], shape=[8, 1])], shape=[8, 1])
        halted = add("gt", [p], shape=[8, 1], g=False, dtype="bool", true=0.3)
        state = add("where", [halted, state, new]) if gated else new
    end = add("cross_entropy", [add("linear", [state], p=["out.weight"])], shape=[])
    return [*rows, {"w": 1, "root": end, "nodes": len(rows)}]


@rule(
    code="ACT121",
    name="act-halted-state-mutates",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"trace"},
    sources={"least": "our calibration: a condition that is asked three times in a forward belongs to a loop"},
    fires=Example(trace=_trace(False)),
    quiet=Example(trace=_trace(True)),
)
def act_halted_state_mutates(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Halted tokens keep being updated: the halting decision is made and counted, and neither state nor output depends on it.

    A token that has halted should keep the state with which it halted (or be weighted out). Here the decision only enters a
    count, or ends the loop once all have halted, so that what is read out depends on how long the slowest neighbour thinks.
    Mixtures by halting probabilities (Graves, PonderNet), a loop that halts for the whole batch by a mean, and any gates are
    left alone.
    """
    looked = False
    for graph in flows(case):
        heads = set(halting_parameters(graph))
        asked = [n for n in comparisons(graph) if heads and _of_many(n)]
        if len(asked) < least:
            continue
        looked = True
        made = _descendants(graph, heads)
        if _gated(graph, made) or _for_the_batch(graph, made) or _is_judged(graph, made):
            yield Clear("the halting decision acts on the state or on the output")
            return
        node = asked[0]
        yield Finding(
            title=f"halting changes nothing: the decision at {where(node.get('site'))} is only counted, and halted tokens go on "
            "being updated with the others",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(
                    "operations through which the decision reaches state or output", 0, "1 or more", f"trace, step {node['w']}"
                ),
                Evidence("times the condition was asked in one forward", len(asked)),
            ),
            location=Location.of(node.get("site")),
            onset_step=0,
            fix=Fix("Keep the state of halted tokens: state = torch.where(halted[..., None], state, new_state), at every step."),
        )
        return
    if not looked:
        yield Skip("no halting condition was asked at three or more steps of a traced forward", "")


def _of_many(node: dict) -> bool:
    """Whether the decision is made for several tokens, not once for the whole batch."""
    count = 1
    for length in node.get("shape", ()):
        count *= length
    return count > 1


def _descendants(graph: Flow, heads: set[str]) -> set[int]:
    return {node["i"] for name in heads for use in graph.using(name) for node in graph.downstream(use)}


def _gated(graph: Flow, made: set[int]) -> bool:
    """Whether something of the head's meets something that is not, in an operation that can hold back or weight it."""
    for index in made:
        node = graph.nodes[index]
        if node["op"] in _GATES and not node.get("p"):
            given = node.get("in", ())
            others = [i for i in given if i not in made and graph.nodes[i].get("ig")]
            if any(i in made for i in given) and others:
                return True
    return False


def _is_judged(graph: Flow, made: set[int]) -> bool:
    """Whether the score itself goes into a loss with targets: then it predicts something, and the comparison is its accuracy."""
    return any("entropy" in graph.nodes[i]["op"] or graph.nodes[i]["op"].endswith("_loss") for i in made)


def _for_the_batch(graph: Flow, made: set[int]) -> bool:
    """Whether the loop may end by a statistic of the batch, such as the mean probability of halting."""
    ends = [graph.nodes[i] for i in made if graph.nodes[i]["op"] in ("bool", "item", "float", "tolist")]
    return any(any(n["op"] in ("mean", "median", "quantile") for n in graph.upstream(end, 8)) for end in ends)
