"""Finding a place in the source snapshot by what the syntax tree says, never by text alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from cognate.case.case import Case

Site = dict[str, Any]
LOOPS = (ast.For, ast.AsyncFor, ast.While)


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
    """The first call, by file and line, of one of `names`."""
    found = [(file, node.lineno) for file, node, name in calls(case) if name in names and where(node)]
    if not found:
        return None
    file, line = min(found)
    return {"file": file, "line": line}


def calls_at(case: Case, site: Site | None) -> list[ast.Call]:
    """The calls that the statement at `site` makes."""
    if not site:
        return []
    tree = case.trees.get(site["file"])
    return [
        node
        for node in ast.walk(tree) if isinstance(node, ast.Call) and node.lineno <= site["line"] <= (node.end_lineno or 0)
    ] if tree else []  # fmt: skip


def made_at(case: Case, site: Site | None, *constructors: str, used_as: str) -> Site | None:
    """Where to point for an operation: its own line if that names it, else the line that constructs the module doing it.

    `model(x)` in the loop is where an nn.Sigmoid inside an nn.Sequential runs, but not where a reader should look.
    """
    if any(used_as in called(node).lower() for node in calls_at(case, site)):
        return site
    return first_call(case, *constructors) or site


def function_at(case: Case, file: str, line: int) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The innermost function of `file` that holds `line`."""
    tree = case.trees.get(file)
    best: ast.FunctionDef | ast.AsyncFunctionDef | None = None
    for node in ast.walk(tree) if tree else ():
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.lineno <= line <= (node.end_lineno or 0):
            best = node
    return best


def in_loop(case: Case, site: Site) -> bool:
    """Whether the line of `site` lies inside a loop of its own function."""
    tree = case.trees.get(site["file"])
    function = function_at(case, site["file"], site["line"])
    for node in ast.walk(function or tree) if tree else ():
        if isinstance(node, LOOPS) and node.lineno < site["line"] <= (node.end_lineno or 0):
            return True
    return False


def epoch_end(case: Case, site: Site) -> Site | None:
    """What follows the loop over batches around `site`, within the loop over epochs: here, or where the function is called."""
    function = function_at(case, site["file"], site["line"])
    around = [n for n in ast.walk(function or case.trees.get(site["file"]) or ast.Module([], [])) if isinstance(n, LOOPS)]
    loops = sorted((n for n in around if n.lineno < site["line"] <= (n.end_lineno or 0)), key=lambda n: n.lineno)
    if len(loops) >= 2:
        after = [s for s in loops[-2].body if s.lineno > (loops[-1].end_lineno or 0)]
        return {"file": site["file"], "line": after[0].lineno if after else loops[-1].end_lineno}
    if function is None:
        return None
    calling = [{"file": file, "line": node.lineno} for file, node, name in calls(case) if name == function.name]
    calling = [place for place in calling if in_loop(case, place)]
    return calling[0] if len(calling) == 1 else None


def class_named(case: Case, name: str) -> tuple[str, ast.ClassDef] | None:
    """The class called `name`, with its file."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and node.name == name:
                return file, node
    return None


def argument_origin(case: Case, site: Site | None, keyword: str, position: int | None = None) -> Site | None:
    """Where the value of `keyword` in the call at `site` is set: an argparse option, a constant, a dataclass field, a default.

    Follows one name: `lr=args.lr` to `add_argument("--lr", …)`, `lr=LR` to `LR = …`. The call itself where it is a literal.
    With `position`, the argument may also be given by its place.
    """
    for node in calls_at(case, site):
        values = [given.value for given in node.keywords if given.arg == keyword]
        if not values and position is not None and position < len(node.args):
            values = [node.args[position]]
        for value in values:
            if site is None:
                continue
            if isinstance(value, ast.Constant):
                return {"file": site["file"], "line": value.lineno}
            name = value.attr if isinstance(value, ast.Attribute) else getattr(value, "id", "")
            return _definition(case, name) or {"file": site["file"], "line": node.lineno}
    return None


def _definition(case: Case, name: str) -> Site | None:
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node) == "add_argument":
                options = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
                if name in {option.lstrip("-").replace("-", "_") for option in options}:
                    return {"file": file, "line": node.lineno}
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(node.value, ast.Constant):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    if name in (getattr(target, "id", ""), getattr(target, "attr", "")):
                        return {"file": file, "line": node.lineno}
            if isinstance(node, ast.FunctionDef):
                defaults = node.args.defaults
                named = node.args.args[len(node.args.args) - len(defaults) :]
                for argument, default in zip(named, defaults, strict=True):
                    if argument.arg == name and isinstance(default, ast.Constant):
                        return {"file": file, "line": default.lineno}
    return None
