"""Which functions of the first-party code may run: those whose name the code that runs mentions, class by class.

By names alone, so that too much rather than too little counts as run: what is never mentioned is an offer to others, and an
import or a demand in it is no fault of this command.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cognate.observe.source.text import parse

# Decorators that call nothing by themselves. Any other one may register the function with a framework.
IDLE = frozenset({"property", "staticmethod", "classmethod", "abstractmethod", "cached_property", "no_grad", "inference_mode"})


@dataclass(frozen=True)
class _Function:
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: ast.ClassDef | None


class Reach:
    """The functions and methods that are reached from the module-level code of `files`; `tests` are called by pytest."""

    def __init__(self, files: Iterable[Path], tests: bool = False) -> None:
        self._tests = tests
        self._lines: dict[str, set[int]] = {}  # of functions, by file
        used: set[str] = set()
        waiting: list[tuple[str, _Function]] = []
        for file in files:
            tree = parse(file)
            if tree is None:
                continue
            functions = list(_functions(tree, None))
            bodies = {id(item.node) for item in functions}
            used |= _names(tree, bodies)
            waiting += [(str(file), item) for item in functions]
        before = -1
        while before != len(waiting):
            before, left = len(waiting), []
            for name, item in waiting:
                if self._runs(item, used):
                    self._lines.setdefault(name, set()).update(range(item.node.lineno, (item.node.end_lineno or 0) + 1))
                    used |= _names(item.node, set())
                else:
                    left.append((name, item))
            waiting = left

    def _runs(self, item: _Function, used: set[str]) -> bool:
        name, owner = item.node.name, item.owner
        if name in used or any(_word(node) not in IDLE for node in item.node.decorator_list):
            return True
        if self._tests and name.startswith(("test", "setup", "teardown", "pytest_")):
            return True
        special = name.startswith("__") and name.endswith("__")
        if owner is None:
            return special
        # A base class may call whatever its subclass defines: forward, training_step, run.
        return (owner.name in used or self._tests) and (special or any(_word(base) != "object" for base in owner.bases))

    def line(self, file: str | Path, line: int) -> bool:
        """Whether `line` of `file`, known to stand in a function, may run."""
        return line in self._lines.get(str(file), ())


def _functions(node: ast.AST, owner: ast.ClassDef | None) -> Iterator[_Function]:
    """The outermost functions and methods below `node`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield _Function(child, owner)
        elif isinstance(child, (ast.stmt, ast.ExceptHandler)):
            yield from _functions(child, child if isinstance(child, ast.ClassDef) else owner)


def _names(node: ast.AST, without: set[int]) -> set[str]:
    """Every name that the code of `node` mentions, strings that are one name (`getattr`, a table of commands) among them."""
    found: set[str] = set()
    queue = [node]
    while queue:
        item = queue.pop()
        if isinstance(item, ast.Name):
            found.add(item.id)
        elif isinstance(item, ast.Attribute):
            found.add(item.attr)
        elif isinstance(item, ast.Constant) and isinstance(item.value, str) and item.value.isidentifier():
            found.add(item.value)
        if id(item) in without and isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef)):
            queue += [*item.decorator_list, *item.args.defaults, *(node for node in item.args.kw_defaults if node is not None)]
        else:
            queue += ast.iter_child_nodes(item)
    return found


def _word(node: ast.expr) -> str:
    """The last name of a decorator or base class."""
    node = node.func if isinstance(node, ast.Call) else node
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
