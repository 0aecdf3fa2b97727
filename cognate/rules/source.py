"""Finding a place in the source snapshot by what the syntax tree says, never by text alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from cognate.case.case import Case

Site = dict[str, Any]


def calls(case: Case) -> Iterator[tuple[str, ast.Call, str]]:
    """Every call in the first-party sources: (file, node, last part of the called name)."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                yield file, node, called(node)


def called(node: ast.Call) -> str:
    """The last part of the name that is called: `step` for `optimizer.step()`."""
    function = node.func
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def first_call(case: Case, *names: str, where: Callable[[ast.Call], bool] = lambda node: True) -> Site | None:
    """The first call, in the order of the files, of one of `names`."""
    for file, node, name in calls(case):
        if name in names and where(node):
            return {"file": file, "line": node.lineno}
    return None


def function_at(case: Case, file: str, line: int) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The innermost function of `file` that holds `line`."""
    tree = case.trees.get(file)
    best: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= (node.end_lineno or 0):
            best = node
    return best


def class_named(case: Case, name: str) -> tuple[str, ast.ClassDef] | None:
    """The class called `name`, with its file."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return file, node
    return None


def text(node: ast.AST) -> str:
    """The source of `node`, normalised."""
    return ast.unparse(node)
