"""One Python file of a program, with the anchors that operators look for and the text edits that they return."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Edit:
    """Replace the characters `start` to `end` of `path` by `text`."""

    path: str
    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class TrainingBlock:
    """The statements of one block in which `backward` is called, and where."""

    body: list[ast.stmt]
    backward: int
    loss: str


@dataclass(slots=True)
class SourceFile:
    """The text and the tree of one file."""

    path: str
    text: str
    tree: ast.Module = field(init=False)
    _starts: list[int] = field(init=False)
    _lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text)
        self._lines = self.text.splitlines(keepends=True)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def offset(self, line: int, column: int) -> int:
        """The character offset of a 1-based line and a column in UTF-8 bytes, as `ast` counts."""
        if line > len(self._lines):
            return len(self.text)
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.AST) -> tuple[int, int]:
        """Start and end offset of `node`."""
        where = _Located.of(node)
        return self.offset(where.line, where.column), self.offset(where.end_line, where.end_column)

    def code(self, node: ast.AST) -> str:
        """The source of `node`."""
        start, end = self.span(node)
        return self.text[start:end]

    def indent(self, node: ast.AST) -> str:
        """The white space before the first line of `node`."""
        line = self._lines[_Located.of(node).line - 1]
        return line[: len(line) - len(line.lstrip())]

    def own_lines(self, node: ast.AST) -> bool:
        """Whether no other code shares the lines of `node`."""
        where = _Located.of(node)
        before = self._lines[where.line - 1].encode()[: where.column].decode().strip()
        after = self._lines[where.end_line - 1].encode()[where.end_column :].decode().split("#")[0].strip()
        return not before and not after

    def replace(self, node: ast.AST, text: str) -> Edit:
        """`node` becomes `text`."""
        start, end = self.span(node)
        return Edit(self.path, start, end, text)

    def delete(self, statement: ast.stmt) -> Edit:
        """`statement` goes, with its lines."""
        return Edit(self.path, *self._line_span(statement), "")

    def before(self, statement: ast.stmt, text: str) -> Edit:
        """A new line `text` before `statement`, at its indentation."""
        start = self._line_span(statement)[0]
        return Edit(self.path, start, start, self._indented(statement, text))

    def after(self, statement: ast.stmt, text: str) -> Edit:
        """A new line `text` after `statement`, at its indentation."""
        end = self._line_span(statement)[1]
        lead = "" if self.text[:end].endswith("\n") else "\n"
        return Edit(self.path, end, end, lead + self._indented(statement, text))

    def move_before(self, statement: ast.stmt, target: ast.stmt) -> list[Edit]:
        """`statement` moves before `target`, at its indentation."""
        return [self.delete(statement), self.before(target, self.code(statement))]

    def move_after(self, statement: ast.stmt, target: ast.stmt) -> list[Edit]:
        """`statement` moves after `target`, at its indentation."""
        return [self.delete(statement), self.after(target, self.code(statement))]

    def _indented(self, statement: ast.stmt, text: str) -> str:
        return "".join(f"{self.indent(statement)}{line}\n" for line in text.split("\n"))

    def _line_span(self, node: ast.AST) -> tuple[int, int]:
        where = _Located.of(node)
        return self._starts[where.line - 1], self._starts[min(where.end_line, len(self._lines))]

    def walk(self) -> Iterator[ast.AST]:
        """All nodes."""
        return ast.walk(self.tree)

    def calls(self, *names: str, within: ast.AST | None = None) -> list[ast.Call]:
        """Calls whose last name is one of `names`, in the order of the text."""
        found = [node for node in ast.walk(within or self.tree) if isinstance(node, ast.Call) and called(node) in names]
        return sorted(found, key=lambda node: (node.lineno, node.col_offset))

    def blocks(self) -> Iterator[list[ast.stmt]]:
        """All lists of statements."""
        for node in self.walk():
            for name in ("body", "orelse", "finalbody"):
                value = getattr(node, name, None)
                if isinstance(value, list) and value and isinstance(value[0], ast.stmt):
                    yield value

    def training_blocks(self) -> list[TrainingBlock]:
        """The innermost blocks that hold a statement `loss.backward()` or `accelerator.backward(loss)`."""
        found = []
        for body in self.blocks():
            for index, statement in enumerate(body):
                call = call_of(statement)
                if call is None or not isinstance(call.func, ast.Attribute):
                    continue
                if call.func.attr not in ("backward", "manual_backward"):
                    continue
                loss = call.args[0] if call.args else call.func.value
                found.append(TrainingBlock(body, index, self.code(loss)))
        return found


@dataclass(frozen=True, slots=True)
class _Located:
    line: int
    column: int
    end_line: int
    end_column: int

    @staticmethod
    def of(node: ast.AST) -> _Located:
        if not isinstance(node, ast.stmt | ast.expr | ast.arg | ast.keyword):
            raise TypeError(f"{type(node).__name__} has no place in the text")
        line, column = node.lineno, node.col_offset
        decorators = getattr(node, "decorator_list", [])
        if decorators:
            line, column = decorators[0].lineno, node.col_offset
        return _Located(line, column, node.end_lineno or line, node.end_col_offset or column)


def called(call: ast.Call) -> str:
    """The last name of what is called: `F.relu(x)` gives `relu`."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def call_of(statement: ast.stmt) -> ast.Call | None:
    """The call that a statement consists of."""
    return statement.value if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call) else None


def method_statements(body: Iterable[ast.stmt], *methods: str) -> list[ast.stmt]:
    """The statements `x.method(...)` of a block, not of the blocks in it."""
    found = []
    for statement in body:
        call = call_of(statement)
        if call is not None and isinstance(call.func, ast.Attribute) and call.func.attr in methods:
            found.append(statement)
    return found


def keyword(call: ast.Call, name: str) -> ast.keyword | None:
    """The keyword argument `name` of a call."""
    return next((item for item in call.keywords if item.arg == name), None)


def applied(text: str, edits: Iterable[Edit]) -> str:
    """`text` with the edits made, from the last to the first."""
    for edit in sorted(edits, key=lambda item: (item.start, item.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text
