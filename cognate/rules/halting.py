"""Recognising adaptive halting: by structure (a squashed score that is compared or accumulated) first, by name second."""

from __future__ import annotations

from cognate.case.case import Case
from cognate.rules.flow import COMPARISONS, RESHAPES, SQUASHES, Flow, Node, flows

WORDS = ("halt", "ponder", "act_head", "stop_head", "exit_head", "act.", "halting")
# How far back from a comparison a sigmoid may lie: running sums, remainders and masks stand between.
REACH = 60
# A head asked at least so often in one forward belongs to a recursion.
LOOPS = 3


def is_halting(name: str) -> bool:
    """Whether a parameter's or module's name says that it belongs to a halting head."""
    lowered = name.lower()
    return any(word in lowered for word in WORDS)


def halting_parameters(graph: Flow) -> list[str]:
    """Parameters of heads whose squashed output decides how long the model computes, by name or by structure."""
    names = {name for node in graph.nodes for name in node.get("p", ())}
    found = {name for name in names if is_halting(name)}
    for node in comparisons(graph):
        for source in graph.upstream(node, REACH):
            if source["op"] in ("linear", "addmm", "matmul") and source.get("shape", [0])[-1] == 1 and _squashed(graph, source):
                found.update(source.get("p", ()))
    for name in names - found:
        uses = [n for n in graph.using(name) if n.get("shape", [0])[-1:] == [1] and _squashed(graph, n)]
        if len(uses) >= LOOPS and sum(_survives(graph, use) for use in uses) >= LOOPS - 1:
            found.add(name)
    return sorted(found)


def comparisons(graph: Flow) -> list[Node]:
    """Comparisons with a constant of something that a sigmoid or softmax made and that carries a gradient."""
    return [
        node
        for node in graph.nodes
        if node["op"] in COMPARISONS
        and node.get("ig")
        and "true" in node
        and any(source["op"] in SQUASHES for source in graph.upstream(node, REACH))
    ]


def halting_conditions(case: Case) -> list[list[Node]]:
    """The comparisons that decide whether to halt, by line of source; a line whose site was not recorded is left out."""
    lines: dict[tuple[str, int], list[Node]] = {}
    for graph in flows(case):
        for node in comparisons(graph) if halting_parameters(graph) else ():
            if node.get("site"):
                lines.setdefault((node["site"]["file"], node["site"]["line"]), []).append(node)
    return [lines[key] for key in sorted(lines)]


def probabilities(graph: Flow) -> list[Node]:
    """What a sigmoid made of a halting head's score at each step of a forward, in order."""
    heads = halting_parameters(graph)
    found: dict[int, Node] = {}
    for use in (use for name in heads for use in graph.using(name)):
        for step in graph.downstream(use):
            if step is use or step["op"] in RESHAPES:
                continue
            if step["op"] in SQUASHES and step.get("mean") is not None and _spends(graph, step):
                found[step["i"]] = step
            break
    return [found[index] for index in sorted(found)]


def single_step_conditions(graph: Flow) -> list[Node]:
    """Conditions on the probability of one step alone, with a bound near one, in a loop that adds the probabilities up elsewhere.

    Such a bound is meant for the sum. A confidence that ends an early exit is added up nowhere.
    """
    asked = [n for n in comparisons(graph) if n["op"] in ("gt", "ge", "greater") and (n.get("a", {}).get("bound") or 0.0) >= 0.9]
    alone = [(n, p) for n in asked if (p := graph.producer(n, RESHAPES)) is not None and p["op"] in SQUASHES]
    made = {p["i"] for _, p in alone}
    sums = [
        n
        for n in graph.nodes
        if n["op"] in ("add", "iadd") and alone and n.get("shape") == alone[0][0].get("shape")
        and len(made & {source["i"] for source in graph.upstream(n, 40)}) >= 2
    ]  # fmt: skip
    return [n for n, _ in alone] if len(alone) >= LOOPS and sums else []


def example_trace(true: float) -> list[Node]:
    """Two traced windows of a halting loop of four steps, whose condition holds for the share `true`: for rules' examples."""
    rows: list[Node] = []
    site = {"file": "model.py", "line": 50, "function": "forward"}
    for window in (1, 40):
        base = {"w": window, "ig": True, "shape": [4, 1]}
        rows.append(base | {"i": 0, "op": "linear", "in": [], "p": ["halt.weight"], "g": True})
        rows.append(base | {"i": 1, "op": "sigmoid", "in": [0], "g": True})
        rows += [base | {"i": i, "op": "gt", "in": [1], "g": False, "true": true, "site": site} for i in range(2, 6)]
        rows.append({"w": window, "root": None, "nodes": 6})
    return rows


def halted_share(node: Node) -> float:
    """Share of tokens that halt by the comparison `node`, which asks whether a score exceeds a bound or is still below it."""
    true = float(node["true"])
    return 1.0 - true if node["op"] in ("lt", "le", "less") else true


def _survives(graph: Flow, use: Node) -> bool:
    """Whether 1 - p of a squashed score p enters a product, as the probability of having gone on does."""
    nodes = [node for node, _ in zip(graph.downstream(use), range(12), strict=False)]
    return any(
        node["op"] in ("rsub", "sub") and any(graph.nodes[u]["op"] in ("mul", "cumprod") for u in graph.users.get(node["i"], ()))
        for node in nodes
    )


def _spends(graph: Flow, squashed: Node) -> bool:
    """Whether 1 - p is multiplied into something as small as p: what is left of the probability. A gate of a state is wider."""
    size = _size(squashed)
    nodes = [node for node, _ in zip(graph.downstream(squashed), range(12), strict=False)]
    rest = [graph.nodes[u] for node in nodes if node["op"] in ("rsub", "sub") for u in graph.users.get(node["i"], ())]
    return any(node["op"] in ("mul", "cumprod") and _size(node) == size for node in rest)


def _size(node: Node) -> int:
    count = 1
    for length in node.get("shape", ()):
        count *= length
    return count


def _squashed(graph: Flow, node: Node) -> bool:
    for step in graph.downstream(node):
        if step is not node and step["op"] not in RESHAPES:
            return step["op"] in SQUASHES
    return False
