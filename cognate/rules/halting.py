"""Recognising adaptive halting: by structure (a squashed score that is compared or accumulated) first, by name second."""

from __future__ import annotations

from cognate.rules.flow import COMPARISONS, RESHAPES, SQUASHES, Flow, Node

WORDS = ("halt", "ponder", "act_head", "stop_head", "exit_head", "act.", "halting")
# How far back from a comparison a sigmoid may lie: running sums, remainders and masks stand between.
REACH = 60


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


def _squashed(graph: Flow, node: Node) -> bool:
    for step in graph.downstream(node):
        if step is not node and step["op"] not in RESHAPES:
            return step["op"] in SQUASHES
    return False
