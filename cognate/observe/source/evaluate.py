"""Computes path expressions such as `Path(__file__).parent.parent / "src"` from their syntax, without running them."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable
from pathlib import Path

PATH_CLASSES = frozenset({"Path", "PurePath", "PosixPath"})


def _resolved(path: str) -> str:
    return os.path.realpath(path)


_FUNCTIONS: dict[str, Callable[[str], str]] = {
    "os.path.dirname": os.path.dirname,
    "os.path.abspath": os.path.abspath,
    "os.path.realpath": _resolved,
    "os.path.normpath": os.path.normpath,
    "os.path.expanduser": os.path.expanduser,
    "os.fspath": str,
    "os.fsdecode": str,
    "str": str,
}
_METHODS: dict[str, Callable[[str], str]] = {
    "resolve": _resolved,
    "absolute": os.path.abspath,
    "expanduser": os.path.expanduser,
    "as_posix": str,
    "__str__": str,
}


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a chain of attributes on a name, else an empty string."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


class Evaluator:
    """Evaluates path expressions of one file; `names` holds what its assignments have bound so far."""

    def __init__(self, file: Path, cwd: Path) -> None:
        self.file = file
        self.cwd = cwd
        self.names: dict[str, str] = {}
        self._aliases: dict[str, str] = {}

    def alias(self, bound: str, meaning: str) -> None:
        """Remember that the file calls `meaning`, such as os.path.join, by the name `bound`."""
        self._aliases[bound] = meaning

    def name(self, node: ast.expr) -> str:
        """The dotted name of `node`, with the file's own aliases undone."""
        head, dot, rest = dotted(node).partition(".")
        return self._aliases.get(head, head) + dot + rest

    def bind(self, node: ast.Assign | ast.AnnAssign) -> None:
        """Remember `NAME = <path expression>`, and forget a name bound to anything else."""
        if node.value is None:
            return
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                value = self.value(node.value)
                if value is None:
                    self.names.pop(target.id, None)
                else:
                    self.names[target.id] = value

    def value(self, node: ast.expr) -> str | None:
        """Return the text that `node` evaluates to, or None where that cannot be told without running it."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            return str(self.file) if node.id == "__file__" else self.names.get(node.id)
        if isinstance(node, ast.BinOp):
            return self._binary(node)
        if isinstance(node, ast.Attribute):
            return self._attribute(node)
        if isinstance(node, ast.Subscript):
            return self._parents(node)
        if isinstance(node, ast.JoinedStr):
            parts = [self.value(part.value if isinstance(part, ast.FormattedValue) else part) for part in node.values]
            return None if None in parts else "".join(part for part in parts if part is not None)
        return self._call(node) if isinstance(node, ast.Call) else None

    def _binary(self, node: ast.BinOp) -> str | None:
        left, right = self.value(node.left), self.value(node.right)
        if left is None or right is None:
            return None
        if isinstance(node.op, ast.Div):
            return str(Path(left) / right)
        return left + right if isinstance(node.op, ast.Add) else None

    def _attribute(self, node: ast.Attribute) -> str | None:
        name = self.name(node)
        if name in ("os.pardir", "os.curdir", "os.sep"):
            return {"os.pardir": "..", "os.curdir": ".", "os.sep": os.sep}[name]
        base = self.value(node.value)
        return str(Path(base).parent) if base is not None and node.attr == "parent" else None

    def _parents(self, node: ast.Subscript) -> str | None:
        holder, index = node.value, node.slice
        if not (isinstance(index, ast.Constant) and isinstance(index.value, int)):
            return None
        if isinstance(holder, ast.Attribute) and holder.attr == "parents":
            base = self.value(holder.value)
            parents = Path(base).parents if base is not None else ()
            return str(parents[index.value]) if 0 <= index.value < len(parents) else None
        if isinstance(holder, ast.Call) and self.name(holder.func) == "os.path.split" and holder.args:
            base = self.value(holder.args[0])
            return os.path.split(base)[index.value] if base is not None and index.value in (0, 1) else None
        return None

    def _call(self, node: ast.Call) -> str | None:
        name = self.name(node.func)
        arguments = [self.value(argument) for argument in node.args]
        if name.rpartition(".")[2] in PATH_CLASSES and name.count(".") <= 1:
            return self._join(arguments) if arguments else "."
        if name in ("os.getcwd", "pathlib.Path.cwd"):
            return str(self.cwd)
        if name == "pathlib.Path.home":
            return str(Path.home())
        if name == "os.path.join":
            return self._join(arguments)
        if name in _FUNCTIONS and len(arguments) == 1:
            return None if arguments[0] is None else _FUNCTIONS[name](arguments[0])
        if isinstance(node.func, ast.Attribute):
            base = self.value(node.func.value)
            if base is not None and node.func.attr == "joinpath":
                return self._join([base, *arguments])
            if base is not None and node.func.attr in _METHODS:
                return _METHODS[node.func.attr](base)
        return None

    @staticmethod
    def _join(parts: list[str | None]) -> str | None:
        known = [part for part in parts if part is not None]
        return str(Path(*known)) if known and len(known) == len(parts) else None
