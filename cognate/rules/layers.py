"""Layers as rules ask about them: linear operations in a trace and what lies between two, weights at first sight, their gain."""

from __future__ import annotations

import ast
import math
from collections.abc import Iterator

from cognate.case.case import Case
from cognate.rules.flow import RESHAPES, Flow, Node
from cognate.rules.source import Site, called, first_call
from cognate.rules.training import Row, modules, parameters

LINEARS = {"linear", "conv1d", "conv2d", "conv3d", "matmul", "__matmul__", "mm", "addmm"}
CONVOLUTIONS = {"conv1d", "conv2d", "conv3d"}
POOLS = {"avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "mean"}
SCALINGS = {"mul", "__mul__", "__rmul__", "div", "__truediv__", "add", "__add__", "__radd__", "sub", "__sub__"}
# Operations that leave a linear function linear when they have a single input.
THROUGH = RESHAPES - {"getitem", "chunk", "split", "unbind", "select", "narrow"} | {"dropout", "batch_norm", "identity"} | POOLS
WEIGHTED = ("Linear", "Conv", "GRU", "LSTM", "RNN", "Bilinear", "MultiheadAttention", "NonDynamicallyQuantizableLinear")


def is_layer(node: Node) -> bool:
    """Whether `node` multiplies by a trainable matrix."""
    return node["op"] in LINEARS and bool(node.get("p"))


def passes(node: Node) -> bool:
    """Whether `node` is linear in its one input that is neither a parameter nor a number."""
    if node["op"] in THROUGH:
        return True
    return node["op"] in SCALINGS and len(node.get("in", ())) == 1 and (bool(node.get("p")) or "scalar" in node.get("a", {}))


def next_layer(graph: Flow, node: Node) -> Node | None:
    """The layer that takes what the layer `node` returns, where that goes nowhere else and nothing non-linear is between."""
    here = node
    while True:
        users = graph.users.get(here["i"], [])
        if len(users) != 1:
            return None
        here = graph.nodes[users[0]]
        if is_layer(here):
            return here
        if not passes(here):
            return None


def sizes(node: Node) -> tuple[int, int]:
    """Features that go into and come out of a layer; of a convolution its channels."""
    place = 1 if node["op"] in CONVOLUTIONS else -1
    first = node["shapes"][0]
    return (first[place] if len(first) > 1 else first[0]), node["shape"][place]


def weights_at_start(case: Case) -> Iterator[tuple[Row, float]]:
    """Random weight matrices of layers and their gain: standard deviation × √fan-in at first sight.

    Xavier's is about 1, He's 1.41 (Glorot & Bengio 2010; He et al. 2015), torch's own for linear layers 0.58.
    """
    known = modules(case)
    for parameter in parameters(case):
        shape, std = parameter.get("shape", []), parameter.get("start", {}).get("std", 0.0)
        cls = known.get(parameter["name"].rpartition(".")[0], {}).get("cls", "")
        if len(shape) < 2 or std <= 0 or parameter["loaded"] or not parameter.get("requires_grad"):
            continue
        if cls.startswith(WEIGHTED):
            fan = shape[0] if cls.startswith("ConvTranspose") else shape[1]
            yield parameter, std * math.sqrt(fan * math.prod(shape[2:]))


SETTERS = ("normal_", "uniform_", "mul_", "fill_", "constant_", "copy_", "ones_")
WALKS = ("parameters", "named_parameters", "modules", "named_modules")


def initialised_at(case: Case) -> Site | None:
    """The statement that gives weights their first values: in a walk over parameters, else on a weight, else anywhere."""
    found: list[tuple[int, str, int]] = []
    for file, tree in case.trees.items():
        walked = {
            id(part)
            for loop in ast.walk(tree)
            if isinstance(loop, ast.For) and any(isinstance(n, ast.Call) and called(n) in WALKS for n in ast.walk(loop.iter))
            for part in ast.walk(loop)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node).endswith(SETTERS):
                on_weight = any(getattr(part, "attr", "") == "weight" for part in ast.walk(node))
                found.append((0 if id(node) in walked else 1 if on_weight else 2, file, node.lineno))
    if found:
        _, file, line = min(found)
        return {"file": file, "line": line}
    return first_call(
        case, "Parameter", where=lambda call: any(isinstance(n, ast.Call) and called(n) == "randn" for n in call.args)
    )


def first_activations(case: Case) -> dict[str, Row]:
    """What the modules gave out in the very first forward, by dotted name where a later row of the same modules tells it."""
    rows = [row for row in case.layers if row.get("activation")]
    if not rows or rows[0]["step"] > 0:
        return {}
    first = rows[0]["activation"]
    kinds = [record.get("cls") for record in first.values()]
    for row in rows[1:]:
        if [record.get("cls") for record in row["activation"].values()] == kinds:
            return dict(zip(row["activation"], first.values(), strict=True))
    return dict(first)
