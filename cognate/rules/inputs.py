"""From what a model was given back to the statement that made it: through the loader, its data set, names and parameters."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

from cognate.case.case import Case
from cognate.rules.places import last_name
from cognate.rules.source import Site, called, calls_at, function_at

Row = dict[str, Any]
Turn = tuple[int, int]  # which of how many times the same line ran
DEEP = 8  # names handed on from function to function; more is a chain that nobody would follow to one line
# What only holds tensors together: what went in was made elsewhere.
HOLDERS = ("TensorDataset", "to", "float", "cuda", "contiguous", "clone", "detach", "cpu", "requires_grad_")


def loader_of(case: Case, forward: Row) -> Row | None:
    """The loader whose batch the model was given in `forward`, told by content."""
    given = (forward.get("inputs") or [{}])[0].get("hash")
    for batch in case.events("batch"):
        if given is not None and any(t.get("hash") == given for t in batch.get("tensors", ())):
            return next(iter(case.events("loader", object=batch.get("object"))), None)
    return None


def data_place(case: Case, forward: Row) -> Site | None:
    """The statement that made the data which the model was given in `forward`; None where it can't be followed."""
    loader = loader_of(case, forward)
    if loader is not None:
        return loaded_place(case, loader)
    site = forward.get("site")
    for node in calls_at(case, site):
        roots = [_bare(argument) for argument in node.args[:1]]
        if site and roots and isinstance(roots[0], (ast.Name, ast.Attribute)) and called(node) not in HOLDERS:
            found = _made(case, site["file"], site["line"], roots[0], None, DEEP)
            if found:
                return found
    return None


def loaded_place(case: Case, loader: Row) -> Site | None:
    """The statement that made the data of a loader."""
    site = loader.get("site")
    made = [node for node in calls_at(case, site) if called(node).endswith("Loader")]
    here = [e["object"] for e in case.events("loader") if e.get("site") == site]
    order = here.index(loader["object"])
    if not made or not site:
        return None
    made.sort(key=lambda node: (node.lineno, node.col_offset))
    # Several loaders on one line are made in the order of the line; one line that runs again is called from several places.
    node, turn = (made[order], None) if len(made) == len(here) else (made[0], (order, len(here)))
    value = next((k.value for k in node.keywords if k.arg == "dataset"), node.args[0] if node.args else None)
    return _made(case, site["file"], node.lineno, value, turn, DEEP) if value is not None else None


def _bare(node: ast.expr) -> ast.expr:
    """The name that an expression holds under indices, stars, and what only holds tensors together."""
    while True:
        if isinstance(node, ast.Starred) or (
            isinstance(node, ast.Subscript) and not (isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str))
        ):
            node = node.value
        elif isinstance(node, ast.Call) and called(node) in HOLDERS:
            inner = node.func.value if isinstance(node.func, ast.Attribute) and called(node) != "TensorDataset" else None
            if inner is None and not node.args:
                return node
            node = inner or node.args[0]
        else:
            return node


def _made(case: Case, file: str, line: int, value: ast.expr, turn: Turn | None, depth: int) -> Site | None:
    """The statement that made `value`, which is used at `line`."""
    value = _bare(value)
    if isinstance(value, ast.Call):
        return {"file": file, "line": value.lineno}
    name, function = last_name(value), function_at(case, file, line)
    if not name or not depth:
        return None
    scope: ast.AST | None = function
    if isinstance(value, ast.Attribute):
        scope = _class_at(case, file, line)
    found = _assigned(scope, name, line if scope is function else None) if scope else None
    if found is None and function and isinstance(value, ast.Name):
        places = [*function.args.posonlyargs, *function.args.args]
        if name in [a.arg for a in places]:
            return _handed(case, function, name, turn, depth)
        found = _assigned(case.trees[file], name, None)
    elif found is None and isinstance(value, ast.Name):
        found = _assigned(case.trees[file], name, line)
    if found is None:
        return None
    inner = _bare(found.value)
    if isinstance(inner, (ast.Name, ast.Attribute)) and inner is not found.value and isinstance(found.value, ast.Call):
        return _made(case, file, found.lineno, inner, turn, depth - 1) or {"file": file, "line": found.lineno}
    return {"file": file, "line": found.lineno}


def _assigned(scope: ast.AST, name: str, before: int | None) -> ast.Assign | None:
    """The last assignment to `name` in `scope`, before a line where one is given."""
    found = [
        node
        for node in _own(scope)
        if isinstance(node, ast.Assign) and (before is None or node.lineno < before)
        and any(last_name(part) == name for target in node.targets for part in _parts(target))
    ]  # fmt: skip
    return max(found, key=lambda node: node.lineno) if found else None


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a module or function itself, without those of functions inside it; those of a class with its methods."""
    waiting = list(ast.iter_child_nodes(scope))
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(scope, ast.ClassDef) or not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            waiting.extend(ast.iter_child_nodes(node))


def _parts(target: ast.expr) -> list[ast.expr]:
    return target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]


def _class_at(case: Case, file: str, line: int) -> ast.ClassDef | None:
    holders = [
        node
        for node in ast.walk(case.trees[file])
        if isinstance(node, ast.ClassDef) and node.lineno <= line <= (node.end_lineno or 0)
    ]
    return holders[-1] if holders else None


def _handed(
    case: Case, function: ast.FunctionDef | ast.AsyncFunctionDef, name: str, turn: Turn | None, depth: int
) -> Site | None:
    """What the parameter `name` of `function` was given: by its one call, or by the call in source order whose turn it was."""
    names = [a.arg for a in [*function.args.posonlyargs, *function.args.args]]
    uses = [
        (file, node)
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) == function.name
    ]
    uses.sort(key=lambda use: (use[0], use[1].lineno, use[1].col_offset))
    if len(uses) == 1:
        file, node = uses[0]
    elif turn and turn[1] == len(uses):
        file, node = uses[turn[0]]
    else:
        return None
    place = names.index(name) - (names[0] == "self")
    given = [k.value for k in node.keywords if k.arg == name] or node.args[place : place + 1]
    return _made(case, file, node.lineno, given[0], None, depth - 1) if given else None
