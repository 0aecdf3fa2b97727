"""What stands around an import: the handler that catches its failure, the test that gates it, later unguarded uses."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from cognate.observe.source.evaluate import dotted

CATCHES_IMPORT_ERROR = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})
PLATFORM_WORDS = ("sys.platform", "os.name", "platform.system", "sys.version_info", "platform.machine")


@dataclass(frozen=True)
class Guard:
    """The handler around an import that catches ImportError."""

    line: int  # of the try
    catches: tuple[str, ...]
    does: str  # fallback (imports or defines another) | none (sets names to a constant) | raise | exit | pass
    message: str | None = None  # what the handler prints or logs
    sets: tuple[str, ...] = ()  # names that the handler binds to None, False and the like
    last_line: int = 0  # of the whole try statement


def guard_of(node: ast.Try) -> Guard | None:
    """Describe the first handler of `node` that an ImportError reaches; None where there is none."""
    for handler in node.handlers:
        caught = _caught(handler.type)
        if caught & CATCHES_IMPORT_ERROR:
            does, sets = _does(handler)
            return Guard(node.lineno, tuple(sorted(caught)), does, _message(handler), sets, node.end_lineno or node.lineno)
    return None


def _caught(node: ast.expr | None) -> set[str]:
    if node is None:
        return {"BaseException"}
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    return {dotted(item).rpartition(".")[2] for item in nodes}


def _does(handler: ast.ExceptHandler) -> tuple[str, tuple[str, ...]]:
    sets: list[str] = []
    for node in handler.body:
        if isinstance(node, ast.Raise):
            return "raise", ()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            name = dotted(node.value.func)
            if name in ("sys.exit", "exit", "quit", "os._exit"):
                return "exit", ()
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Try)):
            return "fallback", ()
        if isinstance(node, ast.Assign):
            if not isinstance(node.value, ast.Constant):
                return "fallback", ()
            sets += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return ("none" if sets else "pass"), tuple(sets)


def _message(handler: ast.ExceptHandler) -> str | None:
    for node in ast.walk(handler):
        if isinstance(node, ast.Call):
            for argument in node.args:
                if isinstance(argument, ast.JoinedStr):
                    return ast.unparse(argument).lstrip("f").strip("'\"")[:200]
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and " " in argument.value:
                    return argument.value[:200]
    return None


def gate_of(test: ast.expr) -> str | None:
    """Name the kind of an `if` around an import: None for the `__main__` guard, "platform", or "condition"."""
    text = ast.unparse(test)
    if "__name__" in text and "__main__" in text:
        return None
    return "platform" if any(word in text for word in PLATFORM_WORDS) else "condition"


def suppresses(node: ast.expr) -> bool:
    """Whether a `with` item is `suppress(ImportError)` or wider."""
    return (
        isinstance(node, ast.Call)
        and dotted(node.func).rpartition(".")[2] == "suppress"
        and any(_caught(argument) & CATCHES_IMPORT_ERROR for argument in node.args)
    )


def unguarded_use(tree: ast.Module, bound: tuple[str, ...], guard: Guard) -> tuple[int, str] | None:
    """Return (line, text) of the first certain use of a name that the guarded import would have bound.

    Certain: module-level code, or a function that such code calls, under no `if`, `try` or conditional expression.
    Uses of a name that the handler sets to a constant count only where a constant cannot serve (called, indexed, asked
    for an attribute).
    """
    walker = _Uses(bound, guard)
    functions = {node.name: node for node in tree.body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    walker.block(tree.body)
    done: set[str] = set()
    while walker.calls - done:
        name = min(walker.calls - done)
        done.add(name)
        if name in functions:
            walker.block(functions[name].body)
    return min(walker.found, default=None)


class _Uses:
    def __init__(self, bound: tuple[str, ...], guard: Guard) -> None:
        self.bound = frozenset(bound)
        self.guard = guard
        self.found: list[tuple[int, str]] = []
        self.calls: set[str] = set()

    def block(self, body: list[ast.stmt]) -> None:
        for node in body:
            if isinstance(node, ast.If) and self._leaves_early(node):
                return
            if isinstance(node, ast.If):
                text = ast.unparse(node.test)
                if "__name__" in text and "__main__" in text:
                    self.block(node.body)
                continue
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try, ast.Assert)):
                continue
            if isinstance(node, (ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While)):
                self._headers(node)
                self.block(node.body)
                continue
            for child in self._unconditional(node):
                self._look(child)

    def _headers(self, node: ast.With | ast.AsyncWith | ast.For | ast.AsyncFor | ast.While) -> None:
        if isinstance(node, (ast.With, ast.AsyncWith)):
            headers = [item.context_expr for item in node.items]
        else:
            headers = [node.test if isinstance(node, ast.While) else node.iter]
        for header in headers:
            for child in self._unconditional(header):
                self._look(child)

    def _leaves_early(self, node: ast.If) -> bool:
        names = {item.id for item in ast.walk(node.test) if isinstance(item, ast.Name)}
        last = node.body[-1]
        leaves = isinstance(last, (ast.Return, ast.Raise, ast.Continue)) or (
            isinstance(last, ast.Expr) and isinstance(last.value, ast.Call) and dotted(last.value.func).endswith("exit")
        )
        return leaves and bool(names & (self.bound | frozenset(self.guard.sets)))

    def _unconditional(self, node: ast.AST) -> Iterator[ast.AST]:
        yield node
        for child in ast.iter_child_nodes(node):
            if not isinstance(child, (ast.IfExp, ast.BoolOp, ast.Lambda)):
                yield from self._unconditional(child)

    def _look(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            self.calls.add(node.func.id)
        user: ast.expr | None = None
        if isinstance(node, ast.Call):
            user = node.func
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            user = node.value
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id not in self.guard.sets:
            user = node
        if isinstance(user, ast.Name) and user.id in self.bound and isinstance(user.ctx, ast.Load):
            line = user.lineno
            if not self.guard.line <= line <= self.guard.last_line:
                self.found.append((line, ast.unparse(node)[:120]))
