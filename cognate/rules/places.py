"""Where a person would edit: the literal or statement behind what was recorded. None where source and record disagree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import pairwise
from math import isclose
from typing import Any

from cognate.case.case import Case
from cognate.rules.source import Site, argument_origin, called, calls, calls_at

RATES = ("lr", "learning_rate", "base_lr", "max_lr")


def literals(case: Case) -> Iterator[tuple[str, Any, Site]]:
    """Every literal that has a name: (name, value, place). Constants, defaults, fields, keywords, keys of dicts, options."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            for name, value in _named(node):
                if isinstance(value, ast.UnaryOp) and isinstance(value.op, ast.USub) and isinstance(value.operand, ast.Constant):
                    if isinstance(value.operand.value, (int, float)):
                        yield name, -value.operand.value, {"file": file, "line": value.lineno}
                elif isinstance(value, ast.Constant):
                    yield name, value.value, {"file": file, "line": value.lineno}


def _named(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            yield from _pairs(target, node.value)
    elif isinstance(node, ast.AnnAssign) and node.value:
        yield from _pairs(node.target, node.value)
    elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        places = [*node.args.posonlyargs, *node.args.args]
        yield from zip((a.arg for a in places[len(places) - len(node.args.defaults) :]), node.args.defaults, strict=True)
        yield from ((a.arg, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d)
    elif isinstance(node, ast.Call) and called(node) == "add_argument":
        options = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        names = [str(k.value.value) for k in node.keywords if k.arg == "dest" and isinstance(k.value, ast.Constant)] or options
        default = next((k.value for k in node.keywords if k.arg == "default"), None)
        if default:
            yield from ((name.lstrip("-").replace("-", "_"), default) for name in names)
    elif isinstance(node, ast.Call):
        yield from ((k.arg, k.value) for k in node.keywords if k.arg)
    elif isinstance(node, ast.Dict):
        for key, value in zip(node.keys, node.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(key.value, str):
                yield key.value, value


def _pairs(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        for one, its in zip(target.elts, value.elts, strict=False):
            yield from _pairs(one, its)
    elif name := last_name(target):
        yield name, value


def last_name(node: ast.expr | None) -> str:
    """The name that an expression ends in: `lr` for `lr`, `args.lr`, `self.config.lr` and `spec["lr"]`; else empty."""
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value
    return node.id if isinstance(node, ast.Name) else ""


def literal_of(case: Case, names: tuple[str, ...], value: Any) -> Site | None:
    """The one place where one of `names` is given the recorded `value`; None where there is none, or more than one."""
    found = {(s["file"], s["line"]) for name, given, s in literals(case) if name in names and _same(given, value)}
    return {"file": (place := found.pop())[0], "line": place[1]} if len(found) == 1 else None


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) or isinstance(other, bool) or not isinstance(one, (int, float)):
        return type(one) is type(other) and bool(one == other)
    return isinstance(other, (int, float)) and isclose(one, other, rel_tol=1e-6)


def spelled(case: Case, word: str) -> Site | None:
    """The one string literal that is `word`, whatever its case: a class that a configuration chooses by its name."""
    found = [
        {"file": file, "line": node.lineno}
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.lower() == word.lower()
    ]
    return found[0] if len(found) == 1 else None


def rate_place(case: Case, site: Site | None) -> Site | None:
    """Where the rate of the optimizer built at `site` is set, also where a library built it from a configuration."""
    rates = {group.get("lr") for event in case.events("optimizer") if _at(event.get("site"), site) for group in event["groups"]}
    rate = rates.pop() if len(rates) == 1 else None
    return setting_place(case, site, "lr", rate, RATES)


def setting_place(
    case: Case, site: Site | None, keyword: str, value: Any, names: tuple[str, ...] = (), position: int | None = None
) -> Site | None:
    """Where `keyword` of the call at `site` got the recorded `value`: by the name it was handed on by, or by one of `names`.

    `names` are those of configurations, from which a library makes the call itself.
    """
    given = [k.value for node in calls_at(case, site) for k in node.keywords if k.arg == keyword]
    if not given and position is not None:
        given = [argument for node in calls_at(case, site) for argument in node.args[position : position + 1]]
    if value is not None and given and (name := last_name(given[0])) and (place := literal_of(case, (name,), value)):
        return place
    return argument_origin(case, site, keyword, position) or (
        literal_of(case, (keyword, *names), value) if value is not None else None
    )


def _at(one: Site | None, other: Site | None) -> bool:
    return bool(one and other and one["file"] == other["file"] and one["line"] == other["line"])


def criterion(case: Case, site: Site | None, function: str, keyword: str, value: Any) -> Site | None:
    """Where the loss that runs `function` at `site` got `keyword`=`value`: there, where its module is made, or in a dict."""
    given = ast.Constant(value)
    own = [node for node in calls_at(case, site) if _gives(node, keyword, given)]
    if own:
        return site
    wanted = function.replace("_with_logits", "withlogits").replace("_", "") + "loss"
    wanted = wanted.replace("lossloss", "loss").replace("binarycrossentropy", "bce")
    made = [
        {"file": file, "line": node.lineno}
        for file, node, name in calls(case)
        if name.lower() == wanted and _gives(node, keyword, given)
    ]
    return made[0] if len(made) == 1 else literal_of(case, (keyword,), value) if not made else None


def _gives(node: ast.Call, keyword: str, value: ast.Constant) -> bool:
    return any(k.arg == keyword and isinstance(k.value, ast.Constant) and k.value.value == value.value for k in node.keywords)


def factor_place(case: Case, site: Site | None, factor: float) -> Site | None:
    """Where the constant `factor` of the product at `site` is set: the literal itself, or what its name was given."""
    tree = case.trees.get(site["file"]) if site else None
    if tree is None or site is None:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)) and node.lineno <= site["line"]:
            if (node.end_lineno or 0) < site["line"]:
                continue
            for side in (node.left, node.right):
                if isinstance(side, ast.Constant) and _same(side.value, factor):
                    return {"file": site["file"], "line": side.lineno}
                place = literal_of(case, (name,), factor) if (name := last_name(side)) else None
                if place:
                    return place
    return None


def shifting(case: Case, names: set[str]) -> Site | None:
    """The one statement in the classes or functions called `names` that moves a sequence by one: roll(-1), x[1:], x[:, 1:]."""
    found: set[tuple[str, int]] = set()
    for file, tree in case.trees.items():
        for holder in ast.walk(tree):
            if isinstance(holder, (ast.ClassDef, ast.FunctionDef)) and holder.name in names:
                found.update((file, node.lineno) for node in ast.walk(holder) if _shifts(node) and isinstance(node, ast.expr))
    return {"file": (place := found.pop())[0], "line": place[1]} if len(found) == 1 else None


def _shifts(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and called(node) == "roll":
        return any(ast.unparse(a) == "-1" for a in [*node.args, *(k.value for k in node.keywords if k.arg == "shifts")])
    if isinstance(node, ast.Subscript):
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        last = parts[-1] if parts else None
        return isinstance(last, ast.Slice) and last.upper is None and _is(last.lower, 1)
    return False


def _is(node: ast.expr | None, value: int) -> bool:
    return isinstance(node, ast.Constant) and node.value == value


def shuffled_apart(case: Case) -> Site | None:
    """The first of two statements in a row that each put one of two paired names into a fresh random order of its own."""
    for file, tree in case.trees.items():
        for holder in ast.walk(tree):
            body = [s for field in ("body", "orelse") for s in _statements(getattr(holder, field, ()))]
            for first, second in pairwise(body):
                one, other = _shuffled(first), _shuffled(second)
                if one and other and one != other and _paired(tree, one, other):
                    return {"file": file, "line": first.lineno}
    return None


def _paired(tree: ast.AST, one: str, other: str) -> bool:
    """Whether two names go together: into one call, or taken apart by the same index. Two lists of files do not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and {one, other} <= {last_name(argument) for argument in node.args}:
            return True
        if isinstance(node, (ast.stmt, ast.Tuple)) and not isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.For, ast.While)):
            taken = [n for n in ast.walk(node) if isinstance(n, ast.Subscript)]
            of = [{ast.unparse(n.slice) for n in taken if last_name(n.value) == name} for name in (one, other)]
            if of[0] & of[1]:
                return True
    return False


def _statements(block: Any) -> list[ast.stmt]:
    return [s for s in block if isinstance(s, ast.stmt)] if isinstance(block, list) else []


def _shuffled(node: ast.stmt) -> str:
    """What a statement shuffles in place, or by an index that it draws itself: `x = x[torch.randperm(len(x))]`."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and called(node.value) == "shuffle" and node.value.args:
        return last_name(node.value.args[0])
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and isinstance(node.value.slice, ast.Call):
        own = last_name(node.value.value)
        # A generator that is handed over may be seeded alike for both.
        seeded = any(k.arg == "generator" for k in node.value.slice.keywords)
        if called(node.value.slice) in ("randperm", "permutation") and not seeded and own:
            return own
    return ""


def index_offset(case: Case, dataset: str) -> Site | None:
    """The one statement of a data set's `__getitem__` that moves the index by a constant, where another uses it as it is."""
    for file, tree in case.trees.items():
        for holder in ast.walk(tree):
            if not isinstance(holder, ast.ClassDef) or holder.name != dataset:
                continue
            for method in holder.body:
                if isinstance(method, ast.FunctionDef) and method.name == "__getitem__" and len(method.args.args) > 1:
                    return _offset(file, method, method.args.args[1].arg)
    return None


def _offset(file: str, method: ast.FunctionDef, index: str) -> Site | None:
    moved = {
        node.lineno
        for node in ast.walk(method)
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)) and last_name(node.left) == index
        and isinstance(node.right, ast.Constant)
    }  # fmt: skip
    plain = [
        n for n in ast.walk(method) if isinstance(n, ast.Subscript) and isinstance(n.slice, ast.Name) and n.slice.id == index
    ]
    return {"file": file, "line": moved.pop()} if len(moved) == 1 and plain else None


def not_a_number(case: Case) -> Site | None:
    """The one statement that puts NaN into an array, or divides by a literal zero."""
    found = {
        (file, node.lineno)
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _is(node.right, 0))
        or (isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript) and _nan(node.value))
        or (isinstance(node, ast.Call) and called(node) in FILLING and any(_nan(a) for a in node.args))
    }
    return {"file": (place := found.pop())[0], "line": place[1]} if len(found) == 1 else None


FILLING = ("masked_fill", "masked_fill_", "where", "index_fill", "index_fill_", "fill_")


def _nan(node: ast.expr) -> bool:
    if isinstance(node, ast.Call) and called(node) == "float" and node.args:
        return isinstance(node.args[0], ast.Constant) and str(node.args[0].value).lower() == "nan"
    return isinstance(node, ast.Attribute) and node.attr.lower() == "nan"
