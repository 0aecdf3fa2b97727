"""Follows what installed packages import when they are loaded, to the first link that breaks. Read, never run.

Only statements at the left margin count: what stands in `try` or `if` may be meant to fail. The pattern finds them; a
break is believed only where the syntax tree agrees.
"""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cognate.observe.environment import binary
from cognate.observe.environment.importers import statements
from cognate.observe.environment.interpreter import Interpreter
from cognate.observe.environment.resolve import Candidate, Finder, winner
from cognate.observe.environment.standard import newer
from cognate.observe.environment.syspath import Entry
from cognate.observe.source.names import defined
from cognate.observe.source.text import parse

# Beyond these bounds the doctor would cost more than it tells: packages that large are tested by their makers.
FILES, BYTES = 250, 2_500_000
SMALL = 6_000  # bytes of a module that is parsed although it seems to hold the name
CONFLICT = re.compile(rb"^(<<<<<<< |>>>>>>> )", re.MULTILINE)
LARGE_FOLDER = 25  # entries of a package folder from which on only what its own __init__ imports from others counts


class Below:
    """The search below one command's imports. Each file is looked at once."""

    def __init__(self, interpreter: Interpreter, finder: Finder) -> None:
        self._interpreter = interpreter
        self._finder = finder
        self._seen: dict[str, list[dict[str, Any]]] = {}
        self._files = FILES
        self._bytes = BYTES

    def of(self, candidate: Candidate, module: str, names: Iterable[str], path: list[Entry]) -> list[dict[str, Any]]:
        """The chain of links from importing `names` of `module` to what breaks; empty where nothing is seen to break."""
        self._path = path
        if candidate.kind in ("zip", "hook", "namespace"):
            return []
        trouble = self._loadable(candidate)
        if trouble:
            return [trouble]
        if candidate.kind != "package":
            chain = self._file(candidate.file, "")
            return chain or self._names(candidate.file, names, module, strict=True)
        chain = self._package(candidate.file, module.split("."), names, strict=True)
        if chain and chain[-1].get("reason") == "missing" and b"sys.path" in _read(os.path.join(candidate.file, "__init__.py")):
            return []  # it puts packages of its own on the path, as setuptools does
        return chain

    def _loadable(self, candidate: Candidate) -> dict[str, Any] | None:
        name = Path(candidate.file).name.partition(".")[0]
        if candidate.kind == "extension":
            found = binary.fault(candidate.file, self._interpreter.machine, self._interpreter.platform)
            return _link(candidate.file, 0, name, found[0], found[1]) if found else None
        if candidate.kind == "bytecode":
            return self._bytecode(candidate.file, name)
        return None

    def _bytecode(self, file: str, name: str) -> dict[str, Any] | None:
        try:
            magic = Path(file).read_bytes()[:4].hex()
        except OSError:
            return None
        if self._interpreter.magic and magic != self._interpreter.magic:
            return _link(file, 0, name, "bytecode", "it was compiled by another version of Python (bad magic number)")
        return None

    def _package(self, folder: str, parts: list[str], names: Iterable[str], strict: bool = False) -> list[dict[str, Any]]:
        """Load `parts[0]` from `folder`, then the submodules, then those among `names`."""
        files, dotted, opaque = [], parts[0], False
        if "__init__.py" in self._finder.listing(folder):
            files.append((os.path.join(folder, "__init__.py"), dotted))
        for part in parts[1:]:
            found = self._finder.in_folder(part, Entry(folder, "package", ""))
            if found is None:
                return []
            dotted += f".{part}"
            trouble = self._loadable(found)
            if trouble:
                return [trouble]
            if found.kind == "package":
                folder = found.file
                files.append((os.path.join(folder, "__init__.py"), dotted))
            elif found.kind == "module":
                files.append((found.file, dotted.rpartition(".")[0]))
            opaque = found.kind not in ("package", "module")
            if found.kind not in ("package", "namespace"):
                break
            folder = found.file
        for file, package in files:
            chain = self._file(file, package)
            if chain:
                return chain
        return self._names(files[-1][0], names, dotted, strict) if files and not opaque else []

    def _names(self, file: str, names: Iterable[str], module: str, strict: bool = False) -> list[dict[str, Any]]:
        """What is asked of a module and not defined there; `strict` parses it although it seems to hold the name."""
        for name in names:
            if name != "*" and not self._offers(file, name, strict):
                return [_link(file, 0, f"{module}.{name}", "name", f"{file} defines no {name}")]
        return []

    def _offers(self, file: str, name: str, strict: bool) -> bool:
        if file.endswith("__init__.py"):
            folder = os.path.dirname(file)
            if self._finder.in_folder(name, Entry(folder, "package", "")):
                return True
            if binary.other_abi(name, self._finder.listing(folder), self._interpreter.extensions):
                return True  # told by its own link
        if not file.endswith(".py") or name.startswith("__"):
            return True
        data = _read(file)
        if ((len(data) > SMALL or not strict) and name.encode() in data) or b"__getattr__" in data:
            return True  # lazily loaded, it may be
        return defined(Path(file)).has(name, "")

    def _file(self, file: str, package: str) -> list[dict[str, Any]]:
        """The chain below one source file; `package` is where its relative imports start."""
        if file in self._seen:
            return self._seen[file]
        self._seen[file] = []
        if not file.endswith(".py") or self._files <= 0 or self._bytes <= 0:
            return []
        data = _read(file)
        self._files -= 1
        self._bytes -= len(data)
        chain = _text_fault(file, data) or self._imports(file, data, package)
        self._seen[file] = chain
        return chain

    def _imports(self, file: str, data: bytes, package: str) -> list[dict[str, Any]]:
        shallow = len(self._finder.listing(os.path.dirname(file))) > LARGE_FOLDER
        for line, module, names in statements(data):
            chain = (
                self._relative(file, module, names, package) if module.startswith(".") else self._absolute(module, names, shallow)
            )
            if chain and _at_margin(file, line):
                if not chain[0]["file"]:  # the statement itself is what breaks
                    return [{**chain[0], "file": file, "line": line}]
                return [_link(file, line, chain[0]["module"], "", ""), *chain]
        return []

    def _absolute(self, module: str, names: list[str], shallow: bool) -> list[dict[str, Any]]:
        top, *rest = module.split(".")
        if top in self._interpreter.unshadowable or top in self._interpreter.stdlib_names or top == "__future__":
            late = newer(module, names, self._interpreter.version_info)
            return [_link("", 0, f"{module}.{late[0]}", "stdlib-name", f"it came with Python {late[1]}")] if late else []
        candidates = self._finder.candidates(top, self._path)
        chosen = winner(candidates)
        if chosen is None:
            return [self._absent(module, top)]
        if chosen.entry.origin in ("script", "cwd", "edit") or chosen.kind in ("zip", "hook", "namespace"):
            return []
        trouble = self._loadable(chosen)
        if trouble:
            return [trouble]
        if chosen.kind != "package":
            return (self._file(chosen.file, "") or self._names(chosen.file, names, module)) if chosen.kind == "module" else []
        return [] if shallow and rest else self._inside(chosen.file, [top, *rest], names)

    def _absent(self, module: str, top: str) -> dict[str, Any]:
        for entry in self._path:
            other = binary.other_abi(top, self._finder.listing(entry.path), self._interpreter.extensions)
            if other:
                return _link("", 0, module, "abi", os.path.join(entry.path, other))
        return _link("", 0, module, "missing", "no entry of the path offers it")

    def _relative(self, file: str, module: str, names: list[str], package: str) -> list[dict[str, Any]]:
        folder, rest = os.path.dirname(file), module.lstrip(".")
        outer = package.split(".") if package else []
        for _ in range(len(module) - len(rest) - 1):
            folder = os.path.dirname(folder)
            outer = outer[:-1]
        if not outer or len(self._finder.listing(folder)) > LARGE_FOLDER:
            return []
        if rest:
            return self._inside(folder, [outer[-1], *rest.split(".")], names, run_first=False)
        for name in names:  # from . import name
            chain = self._inside(folder, [outer[-1], name], [], run_first=False) if not self._in_init(folder, name) else []
            if chain:
                return chain
        return []

    def _in_init(self, folder: str, name: str) -> bool:
        file = os.path.join(folder, "__init__.py")
        if os.path.isfile(file) and defined(Path(file)).open:
            return True  # it takes names from elsewhere as well, as torch.multiprocessing does: nothing can be denied
        return bool(re.search(rb"\b%b\b" % name.encode(), _read(file))) and not any(
            item.partition(".")[0] == name for item in self._finder.listing(folder)
        )

    def _inside(self, folder: str, parts: list[str], names: list[str], run_first: bool = True) -> list[dict[str, Any]]:
        """As `_package`, but a part that is not there breaks the chain."""
        place, lacking = folder, None
        for part in parts[1:]:
            found = self._finder.in_folder(part, Entry(place, "package", ""))
            if found is None:
                lacking = part
                break
            if found.kind not in ("package", "namespace", "module"):
                return []  # a compiled module may bring modules of its own
            place = found.file
        if lacking is not None:
            listing = self._finder.listing(place)
            other = binary.other_abi(lacking, listing, self._interpreter.extensions)
            if other:
                return [_link("", 0, ".".join(parts), "abi", os.path.join(place, other))]
            if b"sys.modules" in _read(os.path.join(folder, "__init__.py")) or b"__path__" in _read(
                os.path.join(folder, "__init__.py")
            ):
                return []
            return [_link("", 0, ".".join(parts), "missing", f"{place} holds no {lacking}")]
        if not run_first:
            return self._below(folder, parts, names)
        return self._package(folder, parts, names)

    def _below(self, folder: str, parts: list[str], names: list[str]) -> list[dict[str, Any]]:
        """The submodules `parts[1:]` of a package whose own __init__ is already running."""
        file = ""
        for depth, part in enumerate(parts[1:], 1):
            found = self._finder.in_folder(part, Entry(folder, "package", ""))
            if found is None:
                return []
            trouble = self._loadable(found)
            if trouble:
                return [trouble]
            package = ".".join(parts[: depth + 1]) if found.kind == "package" else ".".join(parts[:depth])
            folder, file = found.file, found.file
            if found.kind == "package":
                file = os.path.join(folder, "__init__.py")
            chain = self._file(file, package)
            if chain:
                return chain
        return self._names(file, names, ".".join(parts)) if file else []


def _link(file: str, line: int, module: str, reason: str, detail: str) -> dict[str, Any]:
    link: dict[str, Any] = {"file": file, "line": line, "module": module}
    if reason:
        link |= {"reason": reason, "detail": detail}
    return link


def _read(file: str) -> bytes:
    try:
        return Path(file).read_bytes()
    except OSError:
        return b""


def _text_fault(file: str, data: bytes) -> list[dict[str, Any]]:
    name = Path(file).stem
    if b"\0" in data:
        return [_link(file, 1, name, "unparsable", "it contains null bytes")]
    match = CONFLICT.search(data)
    if match:
        line = data.count(b"\n", 0, match.start()) + 1
        return [_link(file, line, name, "unparsable", f"it holds the marks of an unfinished merge (line {line})")]
    return []


def _at_margin(file: str, line: int) -> bool:
    """Whether an import statement of the syntax tree, under no `if`, `try` or docstring, begins at `line`."""
    tree = parse(Path(file))
    return tree is not None and any(isinstance(node, (ast.Import, ast.ImportFrom)) and node.lineno == line for node in tree.body)
