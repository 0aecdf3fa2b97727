"""Where the source deals inputs and labels apart: one of a pair is put in an order that the other cannot have."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from cognate.case.case import Case
from cognate.rules.source import Site, called

ORDERS = ("randperm", "permutation")
SHUFFLES = ("shuffle", "shuffle_")
PAIRING = ("zip", "TensorDataset", "from_tensor_slices")


def dealt_apart(case: Case) -> Site | None:
    """The statement that permutes one member of a pair alone: by an order that has no name, so that no other can follow it.

    Meant are `Dataset(x, y[randperm(n)])`, and `y = y[randperm(n)]` or `shuffle(y)` where x and y are put side by side. What
    is permuted by one named order, or as a list of pairs, stays together. Intended in a permutation test or for negative
    samples, so this alone proves nothing.
    """
    for file, tree in sorted(case.trees.items()):
        alone = dict(_permuted(tree))
        for members in _pairs(tree):
            inline = [m for m in members if _reordered(m)]
            named = [alone[m.id] for m in members if isinstance(m, ast.Name) and m.id in alone]
            others = [m for m in members if isinstance(m, (ast.Name, ast.Attribute, ast.Subscript)) and m not in inline]
            if inline and (others or len(inline) > 1):
                return {"file": file, "line": inline[-1].lineno}
            if named and len(others) > 1:
                return {"file": file, "line": max(named)}
    return None


def _pairs(tree: ast.AST) -> Iterator[list[ast.expr]]:
    """What is put side by side as samples: the arguments of a data set or of zip, and what a function returns together."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (called(node) in PAIRING or called(node).endswith("Dataset")):
            yield node.args
        elif isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield node.value.elts


def _permuted(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Names that are given an order of their own, and the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if _reordered(value) and isinstance(value.value, ast.Name) and value.value.id == name:
                yield name, node.lineno
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and called(node.value) in SHUFFLES:
            yield from ((given.id, node.lineno) for given in node.value.args[:1] if isinstance(given, ast.Name))


def _reordered(node: ast.AST) -> TypeGuard[ast.Subscript]:
    """Whether `node` is something indexed by a permutation drawn on the spot."""
    return isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Call) and called(node.slice) in ORDERS
