"""The traced data flow of one training window: which operations lie between a parameter, or an operation, and the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

from cognate.case.case import Case

Node = dict[str, Any]
# Operations that end differentiability although what goes in has a gradient.
CUTS = {"detach", "item", "tolist", "numpy", "argmax", "argmin", "round", "floor", "ceil", "sign", "long", "int", "bool"}
COMPARISONS = {"gt", "ge", "lt", "le", "eq", "ne", "greater", "less"}
SQUASHES = {"sigmoid", "softmax", "hardsigmoid", "logsigmoid", "gumbel_softmax"}


class Flow:
    """One traced window as a graph; nodes are numbered in order of execution."""

    def __init__(self, nodes: list[Node], root: int | None) -> None:
        self.nodes = nodes
        self.root = root
        self.parameters = {name for node in nodes for name in node.get("p", ())}
        self.users: dict[int, list[int]] = {}
        for node in nodes:
            for source in node.get("in", ()):
                if source != node["i"]:
                    self.users.setdefault(source, []).append(node["i"])

    def using(self, parameter: str) -> list[Node]:
        """The operations that take the parameter called `parameter`."""
        if parameter not in self.parameters:
            # A root that came later gave all names its prefix; when this window was traced they had none.
            parameter = parameter.partition(".")[2]
        return [node for node in self.nodes if parameter in node.get("p", ())]

    def downstream(self, start: Node) -> Iterator[Node]:
        """Operations that depend on `start`, `start` first, in order of execution."""
        seen, waiting = set(), [start["i"]]
        while waiting:
            index = min(waiting)
            waiting.remove(index)
            if index in seen:
                continue
            seen.add(index)
            yield self.nodes[index]
            waiting.extend(user for user in self.users.get(index, ()) if user not in seen)

    def upstream(self, start: Node, most: int = 400) -> Iterator[Node]:
        """Operations that `start` depends on, nearest first."""
        seen: set[int] = set()
        waiting = list(start.get("in", ()))
        while waiting and len(seen) < most:
            index = waiting.pop(0)
            if index in seen:
                continue
            seen.add(index)
            yield self.nodes[index]
            waiting.extend(self.nodes[index].get("in", ()))

    def producer(self, node: Node, skip: set[str], which: int = 0) -> Node | None:
        """The operation that made input `which` of `node`, passing over reshapes and the like named in `skip`."""
        sources = node.get("in", ())
        while which < len(sources):
            source: Node = self.nodes[sources[which]]
            if source["op"] not in skip:
                return source
            sources, which = source.get("in", ()), 0
        return None

    def cuts(self, parameter: str) -> list[Node]:
        """Where the gradient path of `parameter` ends: operations that take a differentiable input and give none out."""
        found: list[Node] = []
        seen: set[int] = set()
        for use in self.using(parameter):
            for node in self.downstream(use):
                if node["i"] in seen:
                    continue
                seen.add(node["i"])
                if node.get("ig") and not node.get("g", False):
                    found.append(node)
        return found

    def reaches_root(self, parameter: str, differentiable: bool = True) -> bool:
        """Whether `parameter` flows into what backward was called on, by differentiable operations alone."""
        starts = [node["i"] for node in self.using(parameter)]
        return self.leads_to_root(starts, lambda node: not differentiable or bool(node.get("g", False)))

    def leads_to_root(self, starts: Iterable[int], passes: Callable[[Node], bool] = lambda node: True) -> bool:
        """Whether what backward was called on depends on the operations `starts`, by operations that `passes` holds for."""
        waiting, seen = list(starts), set()
        while waiting:
            index = waiting.pop()
            if index in seen or not passes(self.nodes[index]):
                continue
            if index == self.root:
                return True
            seen.add(index)
            waiting.extend(self.users.get(index, ()))
        return False

    def find(self, test: Callable[[Node], bool]) -> list[Node]:
        """The operations for which `test` holds."""
        return [node for node in self.nodes if test(node)]


RESHAPES = {
    "view", "reshape", "flatten", "transpose", "permute", "squeeze", "unsqueeze", "contiguous", "t", "T", "movedim",
    "getitem", "expand", "float", "double", "to", "type", "clone", "chunk", "split", "unbind", "select", "narrow", "swapaxes",
}  # fmt: skip


@lru_cache(maxsize=2)  # a dozen rules ask for the same case
def flows(case: Case) -> list[Flow]:
    """The traced windows of the case, in order. The result is shared: read only."""
    found: dict[int, list[Node]] = {}
    roots: dict[int, int | None] = {}
    for row in case.trace:
        if "root" in row:
            roots[row["w"]] = row["root"]
        else:
            found.setdefault(row["w"], []).append(row)
    result = []
    for window in sorted(roots):
        nodes = found.get(window, [])
        # A torn file may lack nodes; indices must stay positions.
        if all(node["i"] == index for index, node in enumerate(nodes)):
            result.append(Flow(nodes, roots[window]))
    return result
