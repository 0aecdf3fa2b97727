"""Weights that a script makes by hand, as plain tensors, as far as its source tells how they begin."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from cognate.case.case import Case
from cognate.rules.source import Site, called

CONSTANTS = ("full", "ones")
WRITES = {
    "normal_", "uniform_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_", "copy_", "trunc_normal_",
    "orthogonal_", "sparse_", "randn", "rand", "normal", "uniform", "randint", "load", "from_numpy",
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """Matrices that one statement makes and a gradient is asked for; `times` by the calls of the function around it."""

    site: Site
    times: int
    constant: bool


def constant_matrices(case: Case) -> list[Made]:
    """Trainable matrices of one number, where a script makes two or more of them and no trainable matrix in another way.

    A single one may be a logistic regression, which needs no broken symmetry; zeros may be half of a pair or meant as a state.
    """
    made = [one for file, tree in sorted(case.trees.items()) for one in _made(file, tree)]
    constant = [one for one in made if one.constant]
    return constant if len(constant) == len(made) and sum(one.times for one in constant) >= 2 else []


def _made(file: str, tree: ast.Module) -> Iterator[Made]:
    scopes = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    inner = {id(part) for scope in scopes for statement in scope.body for part in ast.walk(statement)}
    calls = [called(node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    top = [part for statement in tree.body for part in ast.walk(statement) if id(part) not in inner]
    for parts, times in [
        (top, 1),
        *(([p for s in scope.body for p in ast.walk(s)], calls.count(scope.name)) for scope in scopes),
    ]:
        wanted, written = _used(parts)
        for node in parts:
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                name, names = node.targets[0].id, {called(part) for part in ast.walk(node.value) if isinstance(part, ast.Call)}
                matrix = next((p for p in ast.walk(node.value) if isinstance(p, ast.Call) and _rank(p) >= 2), None)
                if matrix is not None and (name in wanted or _asks(node.value)):
                    even = called(matrix) in CONSTANTS and name not in written and not names & WRITES
                    yield Made({"file": file, "line": node.lineno}, times, even)


def _used(parts: list[ast.AST]) -> tuple[set[str], set[str]]:
    """Names of tensors of which a gradient is asked, and of those that are written in place."""
    wanted: set[str] = set()
    written: set[str] = set()
    for node in parts:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            named = [n.id for n in (node.func.value, *node.args) if isinstance(n, ast.Name)]
            wanted.update(named if node.func.attr == "requires_grad_" else ())
            written.update(named if node.func.attr in WRITES else ())
        if isinstance(node, ast.Assign):
            wanted.update(
                t.value.id
                for t in node.targets
                if isinstance(t, ast.Attribute) and t.attr == "requires_grad" and isinstance(t.value, ast.Name)
            )
    return wanted, written


def _asks(value: ast.AST) -> bool:
    """Whether an expression makes a tensor with a gradient: requires_grad=True, .requires_grad_() or Parameter(…)."""
    return any(
        called(node) in ("requires_grad_", "Parameter")
        or any(k.arg == "requires_grad" and isinstance(k.value, ast.Constant) and k.value.value is True for k in node.keywords)
        for node in ast.walk(value)
        if isinstance(node, ast.Call)
    )


def _rank(node: ast.Call) -> int:
    """Dimensions of what a factory makes, as its arguments tell: full((a, b), x), randn(a, b); 0 where it is none."""
    if called(node) not in (*CONSTANTS, "zeros", "empty", "randn", "rand", "normal", "tensor", "eye"):
        return 0
    if node.args and isinstance(node.args[0], (ast.Tuple, ast.List)):
        return len(node.args[0].elts)
    return 2 if called(node) in ("tensor", "eye") else 1 if called(node) in ("full", "normal") else len(node.args)
