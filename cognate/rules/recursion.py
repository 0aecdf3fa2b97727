"""Recursions in a traced window: parameters that are used again and again, each time on what the time before gave out."""

from __future__ import annotations

from itertools import pairwise

from cognate.case.case import Case
from cognate.rules.flow import Flow, Node


def uses(graph: Flow, least: int = 3) -> dict[str, list[Node]]:
    """Operations on each parameter that was used at least `least` times in one forward, in order."""
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.get("p", ())[:1]:
            found.setdefault(name, []).append(node)
    return {name: nodes for name, nodes in found.items() if len(nodes) >= least}


def recursions(graph: Flow, least: int = 3) -> dict[str, list[Node]]:
    """Those of `uses` in which each use depends on the one before it."""
    return {name: nodes for name, nodes in uses(graph, least).items() if _chained(graph, nodes)}


def _chained(graph: Flow, nodes: list[Node]) -> bool:
    for earlier, later in pairwise(nodes):
        reached = False
        for node in graph.downstream(earlier):
            if node["i"] >= later["i"]:
                reached = node["i"] == later["i"]
                break
        if not reached:
            return False
    return True


def over_time(case: Case, count: int) -> bool:
    """Whether `count` steps are as many as an input of the model has entries along some axis but the first, or nearly.

    Such a loop goes over time, and is as long as its input; it is no depth that somebody chose.
    """
    lengths = {
        length for event in case.events("forward") for tensor in event.get("inputs", ()) for length in tensor.get("shape", ())[1:]
    }
    return any(abs(count - length) <= 1 for length in lengths if length > 2)


def example_recursion(rms: list[float], moved: list[float] | None = None, window: int = 1) -> list[Node]:
    """A traced window whose cell gave out states of these sizes (and changes): for rules' examples."""
    rows: list[Node] = []
    site = {"file": "model.py", "line": 40, "function": "forward"}
    for index, size in enumerate(rms):
        node: Node = {"w": window, "i": 2 * index, "op": "linear", "in": [2 * index - 1] if index else [], "p": ["cell.weight"]}
        node |= {"rms": size, "ig": True, "g": True, "m": "cell", "site": site}
        if index and moved is not None:
            node["moved"] = moved[index - 1]
        rows.append(node)
        rows.append({"w": window, "i": 2 * index + 1, "op": "add", "in": [2 * index], "ig": True, "g": True, "site": site})
    return [*rows, {"w": window, "root": 2 * len(rms) - 1, "nodes": 2 * len(rms)}]
