"""What a file does to `sys.path`, its working folder and PYTHONPATH, read from its syntax."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

from cognate.observe.source.evaluate import Evaluator, dotted


@dataclass(frozen=True)
class PathEdit:
    """One edit of the import path. `known` is false where a value cannot be told without running the script."""

    file: Path
    line: int
    text: str  # the statement, shortened
    function: str | None
    action: str  # insert | append | assign | replace | remove | pop | chdir | environ
    before: tuple[str, ...] = ()  # goes in front of what is there (at `index`)
    after: tuple[str, ...] = ()  # goes behind what is there
    index: int = 0
    keeps: bool = True  # false for an assignment that drops the entries that were there
    known: bool = True


class EditReader:
    """Recognises path edits of one file."""

    def __init__(self, file: Path, evaluator: Evaluator) -> None:
        self._file = file
        self._evaluator = evaluator

    def read(self, node: ast.stmt, function: str | None) -> PathEdit | None:
        """Return the edit that the simple statement `node` makes, or None."""
        found: tuple[str, dict[str, object]] | None = None
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            found = self._call(node.value)
        elif isinstance(node, ast.Assign) and len(node.targets) == 1:
            found = self._assignment(node.targets[0], node.value)
        elif isinstance(node, ast.AugAssign) and self._is_path(node.target):
            found = ("append", self._pieces("after", node.value))
        if found is None:
            return None
        action, fields = found
        text = " ".join(ast.unparse(node).split())
        return PathEdit(self._file, node.lineno, text[:200], function, action, **fields)  # type: ignore[arg-type]

    def _is_path(self, node: ast.expr) -> bool:
        return self._evaluator.name(node) == "sys.path"

    def _call(self, call: ast.Call) -> tuple[str, dict[str, object]] | None:
        name, arguments = self._evaluator.name(call.func), call.args
        if name == "os.chdir" and arguments:
            return "chdir", self._values("after", arguments[:1])
        if name == "site.addsitedir" and arguments:
            return "append", self._values("after", arguments[:1])
        holder, _, method = name.rpartition(".")
        if holder != "sys.path":
            if name in ("os.environ.setdefault", "os.putenv") and arguments and self._names_pythonpath(arguments[0]):
                return "environ", {}
            return None
        if method == "insert" and len(arguments) == 2:
            place = arguments[0]
            index = place.value if isinstance(place, ast.Constant) and isinstance(place.value, int) else 0
            return "insert", {**self._values("before", arguments[1:]), "index": index}
        if method == "append" and arguments:
            return "append", self._values("after", arguments[:1])
        if method == "extend" and arguments:
            return "append", self._pieces("after", arguments[0])
        if method == "remove" and arguments:
            return "remove", self._values("after", arguments[:1])
        if method == "pop":
            place_of = arguments[0] if arguments else ast.Constant(-1)
            known = isinstance(place_of, ast.Constant) and isinstance(place_of.value, int)
            value = place_of.value if known and isinstance(place_of, ast.Constant) else 0
            return "pop", {"index": value, "known": known}
        return None

    def _assignment(self, target: ast.expr, value: ast.expr) -> tuple[str, dict[str, object]] | None:
        if self._is_path(target):
            before, after, keeps, known = self._sequence(value)
            return "assign", {"before": before, "after": after, "keeps": keeps, "known": known}
        if not isinstance(target, ast.Subscript):
            return None
        if self._evaluator.name(target.value) == "os.environ" and self._names_pythonpath(target.slice):
            return "environ", {}
        if not self._is_path(target.value):
            return None
        if isinstance(target.slice, ast.Slice):
            upper = target.slice.upper
            if isinstance(upper, ast.Constant) and upper.value == 0:
                return "insert", self._pieces("before", value)
            before, after, keeps, known = self._sequence(value)
            return "assign", {"before": before, "after": after, "keeps": keeps, "known": known}
        return "replace", self._values("before", [value])

    @staticmethod
    def _names_pythonpath(node: ast.expr) -> bool:
        return isinstance(node, ast.Constant) and node.value == "PYTHONPATH"

    def _values(self, side: str, nodes: list[ast.expr]) -> dict[str, object]:
        values = [self._evaluator.value(node) for node in nodes]
        known = tuple(value for value in values if value is not None)
        return {side: known, "known": len(known) == len(values)}

    def _pieces(self, side: str, node: ast.expr) -> dict[str, object]:
        if isinstance(node, (ast.List, ast.Tuple)):
            return self._values(side, node.elts)
        return {side: (), "known": False}

    def _sequence(self, node: ast.expr) -> tuple[tuple[str, ...], tuple[str, ...], bool, bool]:
        """Split a list expression at `sys.path`: what goes before, after, whether it is kept, whether all is known."""
        before: list[str] = []
        after: list[str] = []
        keeps = False
        known = True
        for item in self._flat(node):
            if self._is_path(item) or (isinstance(item, ast.Subscript) and self._is_path(item.value)):
                keeps = True
                continue
            value = self._evaluator.value(item)
            if value is None:
                known = False
            else:
                (after if keeps else before).append(value)
        return tuple(before), tuple(after), keeps or not known, known

    def _flat(self, node: ast.expr) -> list[ast.expr]:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            return [*self._flat(node.left), *self._flat(node.right)]
        if isinstance(node, (ast.List, ast.Tuple)):
            return [item for element in node.elts for item in self._flat(element)]
        if isinstance(node, ast.Starred):
            return self._flat(node.value)
        if isinstance(node, ast.Call) and dotted(node.func) == "list" and node.args:
            return self._flat(node.args[0])
        return [node]
