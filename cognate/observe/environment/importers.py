"""Finds installed or standard-library code that imports a given top-level module: who else a shadow hits.

First the files that are loaded for certain are followed, import by import, from what the first-party code imports; the
statements are read by a pattern, because parsing a thousand files would cost seconds. Names not met there are then
looked for anywhere in the imported packages, which proves less: such a file may never be loaded.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from cognate.observe.source.text import parse

CERTAIN_FILES = 1500
SEARCHED_FILES = 800
PARSES_PER_NAME = 6
SKIPPED_FOLDERS = frozenset({"tests", "test", "testing", "__pycache__", "examples", "include", "share"})
_STATEMENT = re.compile(
    rb"^(?:from[ \t]+(?P<module>[.\w]+)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n#;]*)|import[ \t]+(?P<plain>[^\n#;]+))",
    re.MULTILINE,
)
_COMMENT = re.compile(rb"#[^\n]*")
_WORD = re.compile(r"[\w.]+")


class Importers:
    """Searches below `modules` (dotted names that the first-party code imports), found in the folders `roots`."""

    def __init__(self, modules: Iterable[str], roots: Iterable[Path]) -> None:
        self._modules = list(modules)
        self._roots = [str(root) for root in roots]
        self._listings: dict[str, frozenset[str]] = {}

    def of(self, names: Iterable[str], loaded_only: frozenset[str] = frozenset()) -> dict[str, list[dict[str, Any]]]:
        """Return, for each name that is imported somewhere, one certain place or else uncertain ones.

        For names in `loaded_only` uncertain places say nothing: some file of a large package imports any standard module.
        """
        pending = set(names)
        found = {name: [row] for name, row in self._certain(pending)}
        return found | self._searched(pending - set(found) - loaded_only)

    def _certain(self, names: set[str]) -> Iterator[tuple[str, dict[str, Any]]]:
        queue: list[str] = []
        seen: set[str] = set()
        met: set[str] = set()

        def add(files: Iterable[str]) -> None:
            for file in files:
                if file not in seen:
                    seen.add(file)
                    queue.append(file)

        for module in self._modules:
            add(self._files(module, ()))
        position = 0
        while position < min(len(queue), CERTAIN_FILES) and met != names:
            file = queue[position]
            position += 1
            data = _read(Path(file))
            for match in _STATEMENT.finditer(data):
                for module, asked in _targets(match):
                    top = module.partition(".")[0]
                    if top in names:
                        if top not in met:
                            met.add(top)
                            line = data.count(b"\n", 0, match.start()) + 1
                            yield top, {"file": file, "line": line, "certain": True}
                        continue
                    add(self._relative(file, module, asked) if module.startswith(".") else self._files(module, asked))

    def _listing(self, folder: str) -> frozenset[str]:
        if folder not in self._listings:
            try:
                self._listings[folder] = frozenset(os.listdir(folder))
            except OSError:
                self._listings[folder] = frozenset()
        return self._listings[folder]

    def _files(self, module: str, asked: Iterable[str]) -> Iterator[str]:
        """Source files that importing `module` runs, and submodules among the names `asked` of it."""
        parts = module.split(".")
        for root in self._roots:
            names = self._listing(root)
            if parts[0] in names or f"{parts[0]}.py" in names:
                yield from self._chain(root, parts, asked)
                return

    def _relative(self, file: str, module: str, asked: Iterable[str]) -> Iterator[str]:
        folder = os.path.dirname(file)
        rest = module.lstrip(".")
        for _ in range(len(module) - len(rest) - 1):
            folder = os.path.dirname(folder)
        yield from self._chain(folder, rest.split(".") if rest else [], asked)

    def _chain(self, folder: str, parts: list[str], asked: Iterable[str]) -> Iterator[str]:
        for part in parts:
            if f"{part}.py" in self._listing(folder) and part not in self._listing(folder):
                yield os.path.join(folder, f"{part}.py")
                return
            folder = os.path.join(folder, part)
            if "__init__.py" in self._listing(folder):
                yield os.path.join(folder, "__init__.py")
        for name in asked:
            if f"{name}.py" in self._listing(folder):
                yield os.path.join(folder, f"{name}.py")
            elif name in self._listing(folder) and "__init__.py" in self._listing(os.path.join(folder, name)):
                yield os.path.join(folder, name, "__init__.py")

    def _searched(self, names: set[str]) -> dict[str, list[dict[str, Any]]]:
        patterns = {
            name: re.compile(
                rb"^[ \t]*(?:from[ \t]+%b[ \t.]|import[ \t]+(?:[\w.,\t ]*[, \t])?%b\b)" % (name.encode(), name.encode()),
                re.MULTILINE,
            )
            for name in names
        }
        parses = dict.fromkeys(names, PARSES_PER_NAME)
        found: dict[str, list[dict[str, Any]]] = {}
        for path in self._package_files() if names else ():
            data = _read(path)
            for name, pattern in patterns.items():
                if name not in found and parses[name] and name.encode() in data and pattern.search(data):
                    parses[name] -= 1
                    rows = _confirmed(path, name)
                    if rows:
                        found[name] = rows
        return found

    def _package_files(self) -> Iterator[Path]:
        """Source files of the packages that are imported from site folders, the shallow ones first."""
        folders = [
            os.path.join(root, top)
            for top in dict.fromkeys(module.partition(".")[0] for module in self._modules)
            for root in self._roots
            if top in self._listing(root) and "-packages" in root
        ]
        left = SEARCHED_FILES
        while folders and left > 0:
            folder = folders.pop(0)
            for name in sorted(self._listing(folder)):
                path = os.path.join(folder, name)
                if name.endswith(".py") and left > 0:
                    left -= 1
                    yield Path(path)
                elif "." not in name and name not in SKIPPED_FOLDERS and os.path.isdir(path):
                    folders.append(path)


def statements(data: bytes) -> Iterator[tuple[int, str, list[str]]]:
    """(line, module, names asked of it) of the import statements at the left margin, as the pattern finds them."""
    for match in _STATEMENT.finditer(data):
        line = data.count(b"\n", 0, match.start()) + 1
        for module, names in _targets(match):
            yield line, module, names


def _targets(match: re.Match[bytes]) -> Iterator[tuple[str, list[str]]]:
    """The modules that one statement imports, each with the names asked of it."""
    if match["plain"] is not None:
        for part in match["plain"].decode("ascii", "replace").split(","):
            word = _WORD.match(part.strip())
            if word:
                yield word.group(), []
        return
    text = _COMMENT.sub(b"", match["names"]).decode("ascii", "replace").strip("() \t\r\n\\")
    names = [word.group() for part in text.split(",") if (word := _WORD.match(part.strip()))]
    yield match["module"].decode("ascii", "replace"), names


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _confirmed(path: Path, name: str) -> list[dict[str, Any]]:
    """Real import statements of `name` in `path`: the pattern also meets examples in docstrings."""
    tree = parse(path)
    rows = []
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            hit = any(alias.name.partition(".")[0] == name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            hit = not node.level and (node.module or "").partition(".")[0] == name
        else:
            continue
        if hit:
            rows.append({"file": str(path), "line": node.lineno, "certain": False})
    return rows[:2]
