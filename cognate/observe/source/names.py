"""Which names a module defines, and which names another module asks of it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cognate.observe.source.imports import scan
from cognate.observe.source.text import parse

# Calls that may bind names which the syntax does not show.
WRITERS = frozenset({"globals", "vars", "exec", "setattr"})


@dataclass
class Defined:
    """Top-level names of a module; `open` where names may also come from elsewhere (star import, `__getattr__`)."""

    names: dict[str, str | None] = field(default_factory=dict)  # name -> top-level module it was imported from
    open: bool = False

    def has(self, name: str, module: str) -> bool:
        """Whether the module provides `name`, other than by importing it from `module`, that is, from itself."""
        return self.open or (name in self.names and self.names[name] != module)


def defined(path: Path) -> Defined:
    """Read the names that the module file or package folder `path` defines."""
    result = Defined()
    file = path / "__init__.py" if path.is_dir() else path
    if file.name == "__init__.py":
        for item in _children(file.parent):
            if item.suffix in (".py", ".so", ".pyd") or item.is_dir():
                result.names.setdefault(item.name.partition(".")[0], None)
    if not file.exists():
        return result
    tree = parse(file) if file.suffix == ".py" else None
    if tree is None:
        result.open = True  # an extension, bytecode, or text that does not parse: nothing can be denied
        return result
    for node in _statements(tree.body):
        _bind(node, result)
    return result


def bound_before(path: Path, line: int) -> frozenset[str] | None:
    """Names that the module file `path` has bound when its module-level statement at `line` runs; None: cannot be told."""
    tree = parse(path)
    if tree is None:
        return None
    result = Defined()
    for node in _statements([node for node in tree.body if node.lineno < line]):
        _bind(node, result)
    return None if result.open else frozenset(result.names)


def _children(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody"):
            if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from _statements(getattr(node, part, []))
        for handler in getattr(node, "handlers", []):
            yield from _statements(handler.body)


def _bind(node: ast.stmt, result: Defined) -> None:
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        result.open = result.open or node.name == "__getattr__"
        result.names[node.name] = None
    elif isinstance(node, ast.Import):
        for alias in node.names:
            result.names[alias.asname or alias.name.partition(".")[0]] = alias.name.partition(".")[0]
    elif isinstance(node, ast.ImportFrom):
        origin = None if node.level else (node.module or "").partition(".")[0]
        for alias in node.names:
            result.open = result.open or alias.name == "*"
            result.names[alias.asname or alias.name] = origin
    else:
        for child in ast.walk(node):
            if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                result.names.setdefault(child.id, None)
            # globals()["x"] = … and sys.modules[__name__] = … define what cannot be read off.
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Name) and child.func.id in WRITERS:
                result.open = True
            if isinstance(child, ast.Attribute) and child.attr == "modules" and isinstance(child.ctx, ast.Load):
                result.open = True


def wanted(file: Path, module: str, cwd: Path) -> dict[str, int]:
    """Return the names that `file` asks of the top-level module `module`, each with the line of its first use."""
    tree = parse(file)
    if tree is None:
        return {}
    asked: dict[str, int] = {}
    handles: set[str] = set()
    for item in scan(file, cwd).imports:
        if item.level or item.top != module or item.type_checking:
            continue
        rest = item.module.partition(".")[2]
        if rest:
            asked.setdefault(rest.partition(".")[0], item.line)
        elif item.names:
            for name in item.names:
                if name != "*":
                    asked.setdefault(name, item.line)
        else:
            handles.update(item.bound)
        if rest and not item.names and item.bound == (module,):
            handles.add(module)
    handles -= _rebound(tree, handles)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
            continue
        dunder = node.attr.startswith("__") and node.attr.endswith("__")
        if isinstance(node.value, ast.Name) and node.value.id in handles and not dunder:
            asked.setdefault(node.attr, node.lineno)
    return asked


def _rebound(tree: ast.Module, names: set[str]) -> set[str]:
    """Names that the file also binds to something else than a constant: their attributes say nothing of the module."""
    found: set[str] = set()
    constants: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            constants.update(id(target) for target in node.targets)
        elif isinstance(node, ast.arg) and node.arg in names:
            found.add(node.arg)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in names:
            if id(node) not in constants:
                found.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name in names:
            found.add(node.name)
    return found
