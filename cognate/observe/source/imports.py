"""The imports and path edits of one file in the order in which they run, with what guards each import."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from cognate.observe.source.edits import EditReader, PathEdit
from cognate.observe.source.evaluate import Evaluator, dotted
from cognate.observe.source.guards import Guard, gate_of, guard_of, suppresses
from cognate.observe.source.text import parse

# Modules whose names mean something in a path expression or a path edit.
KNOWN_TO_EVALUATOR = frozenset({"os", "os.path", "pathlib", "site", "sys"})


@dataclass(frozen=True)
class Import:
    """One import statement (one alias of `import a, b`), as it stands in the source."""

    module: str  # dotted, without leading dots
    level: int  # leading dots of a relative import
    names: tuple[str, ...]  # what `from module import …` asks for
    bound: tuple[str, ...]  # names that it binds in the file
    file: Path
    line: int
    statement: str
    guard: Guard | None = None
    alternative_to: str | None = None  # it stands in the handler of this guarded import
    type_checking: bool = False
    gate: str | None = None  # the test of an `if` that it stands under
    function: str | None = None
    reached: bool = True  # at module level, or in a function that module-level code calls

    @property
    def top(self) -> str:
        """First component of the module's name."""
        return self.module.partition(".")[0]


@dataclass
class Scan:
    """What a file does, in order; `deferred` holds what stands in functions."""

    steps: list[Import | PathEdit] = field(default_factory=list)
    deferred: list[Import | PathEdit] = field(default_factory=list)
    parsed: bool = True

    @property
    def imports(self) -> list[Import]:
        """All imports, those of module level first."""
        return [step for step in (*self.steps, *self.deferred) if isinstance(step, Import)]

    @property
    def edits(self) -> list[PathEdit]:
        """All path edits, those of module level first."""
        return [step for step in (*self.steps, *self.deferred) if isinstance(step, PathEdit)]


def scan(file: Path, cwd: Path) -> Scan:
    """Read the imports and path edits of `file`. Nothing is run; a file that does not parse gives an empty scan."""
    tree = parse(file)
    if tree is None:
        return Scan(parsed=False)
    return _Scanner(file, cwd, tree).result


@dataclass(frozen=True)
class _Context:
    guard: Guard | None = None
    alternative_to: str | None = None
    type_checking: bool = False
    gate: str | None = None
    function: str | None = None


class _Scanner:
    def __init__(self, file: Path, cwd: Path, tree: ast.Module) -> None:
        self.file = file
        self.result = Scan()
        self.evaluator = Evaluator(file, cwd)
        self.edits = EditReader(file, self.evaluator)
        self.functions = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
        self.called: set[str] = set()
        self.block(tree.body, _Context())
        self.result.deferred = [
            replace(step, reached=step.function in self.called) if isinstance(step, Import) else step
            for step in self.result.deferred
            if not (isinstance(step, PathEdit) and step.function in self.called)
        ]

    def block(self, body: Iterable[ast.stmt], context: _Context) -> None:
        for node in body:
            self.statement(node, context)

    def statement(self, node: ast.stmt, context: _Context) -> None:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self.add_import(node, context)
        elif isinstance(node, ast.Try) or type(node).__name__ == "TryStar":
            self.guarded(node, context)  # type: ignore[arg-type]
        elif isinstance(node, ast.If):
            self.conditional(node, context)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            self.block(node.body, replace(context, function=context.function or node.name, guard=None))
        elif isinstance(node, ast.ClassDef):
            self.block(node.body, context)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            inner = context
            if any(suppresses(item.context_expr) for item in node.items):
                inner = replace(context, guard=Guard(node.lineno, ("ImportError",), "pass"))
            self.block(node.body, inner)
        elif isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
            self.block([*node.body, *node.orelse], context)
        else:
            self.simple(node, context)

    def conditional(self, node: ast.If, context: _Context) -> None:
        test = ast.unparse(node.test)
        if "TYPE_CHECKING" in test and not test.startswith("not "):
            self.block(node.body, replace(context, type_checking=True))
            self.block(node.orelse, context)
            return
        gate = context.gate or gate_of(node.test)
        self.block(node.body, replace(context, gate=gate))
        self.block(node.orelse, replace(context, gate=gate))

    def guarded(self, node: ast.Try, context: _Context) -> None:
        guard = guard_of(node)
        self.block(node.body, replace(context, guard=guard) if guard else context)
        primary = next(
            (name for statement in node.body for name in _imported(statement) if name),
            None,
        )
        for handler in node.handlers:
            self.block(handler.body, replace(context, alternative_to=primary) if guard else context)
        self.block([*node.orelse, *node.finalbody], replace(context, gate=context.gate or "else") if guard else context)

    def simple(self, node: ast.stmt, context: _Context) -> None:
        edit = self.edits.read(node, context.function)
        if edit is not None:
            self.place(edit, context)
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            self.evaluator.bind(node)
        for call in (item for item in ast.walk(node) if isinstance(item, ast.Call)):
            name = dotted(call.func)
            if name in ("importlib.import_module", "import_module", "__import__"):
                self.add_dynamic(call, context)
            if context.function is None and name in self.functions:
                self.call(name)

    def call(self, name: str) -> None:
        """Module-level code calls a function of this file: its path edits happen here, its imports are reached."""
        if name in self.called:
            return
        self.called.add(name)
        for node in ast.walk(self.functions[name]):
            if isinstance(node, (ast.Assign, ast.AnnAssign)):
                self.evaluator.bind(node)
            if isinstance(node, ast.stmt) and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                edit = self.edits.read(node, name)
                if edit is not None:
                    self.result.steps.append(edit)
            if isinstance(node, ast.Call) and dotted(node.func) in self.functions:
                self.call(dotted(node.func))

    def place(self, step: Import | PathEdit, context: _Context) -> None:
        (self.result.steps if context.function is None else self.result.deferred).append(step)

    def add_dynamic(self, call: ast.Call, context: _Context) -> None:
        argument = call.args[0] if call.args else None
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value[:1].isidentifier():
            self._add(argument.value, 0, (), (), call.lineno, ast.unparse(call), context)

    def add_import(self, node: ast.Import | ast.ImportFrom, context: _Context) -> None:
        text = " ".join(ast.unparse(node).split())
        if isinstance(node, ast.ImportFrom):
            names = tuple(alias.name for alias in node.names)
            bound = tuple(alias.asname or alias.name for alias in node.names)
            if node.module in KNOWN_TO_EVALUATOR and not node.level:
                for name, local in zip(names, bound, strict=True):
                    self.evaluator.alias(local, f"{node.module}.{name}")
            self._add(node.module or "", node.level, names, bound, node.lineno, text, context)
            return
        for alias in node.names:
            if alias.name in KNOWN_TO_EVALUATOR and alias.asname:
                self.evaluator.alias(alias.asname, alias.name)
            bound = (alias.asname or alias.name.partition(".")[0],)
            statement = f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
            self._add(alias.name, 0, (), bound, node.lineno, statement, context)

    def _add(
        self,
        module: str,
        level: int,
        names: tuple[str, ...],
        bound: tuple[str, ...],
        line: int,
        statement: str,
        context: _Context,
    ) -> None:
        self.place(
            Import(
                module,
                level,
                names,
                bound,
                self.file,
                line,
                statement[:200],
                context.guard,
                context.alternative_to,
                context.type_checking,
                context.gate,
                context.function,
            ),
            context,
        )


def _imported(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []
