"""Follows the imports of the first-party code in the order in which they run, on the path as it is at each moment."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from cognate.observe.environment.interpreter import Interpreter
from cognate.observe.environment.resolve import Candidate, Finder, submodule, winner
from cognate.observe.environment.syspath import Command, Entry, apply_edit
from cognate.observe.source import Import, PathEdit, module_file, scan
from cognate.observe.source.closure import FILE_LIMIT, INSTALLED


@dataclass
class Traced:
    """One import and what became of it."""

    item: Import
    module: str  # absolute
    status: str = "found"  # found | missing | unknown
    why: str = ""
    missing: str | None = None
    candidates: list[Candidate] = field(default_factory=list)
    runs: list[Path] = field(default_factory=list)  # first-party files that it runs

    @property
    def winner(self) -> Candidate | None:
        """What Python loads."""
        return winner(self.candidates)


class Tracer:
    """Walks the closure of one command. Nothing is imported or run."""

    def __init__(self, interpreter: Interpreter, path: list[Entry], command: Command) -> None:
        self.interpreter = interpreter
        self.initial = path  # before any edit
        self.path = path
        self.command = command
        self.cwd = command.cwd
        self.finder = Finder(interpreter.extensions)
        self.traced: list[Traced] = []
        self.files: dict[Path, list[Traced]] = {}
        self.edits: list[PathEdit] = []
        self.unparsed: list[Path] = []
        self.uncertain = False  # an edit of the path could not be computed
        self._loaded: dict[str, list[Candidate]] = {}
        self._later: list[tuple[Import | PathEdit, str]] = []
        self._edited: set[PathEdit] = set()

    def run(self) -> None:
        """Trace the command from its first file on."""
        entry = self.entry()
        if entry is None:
            return
        package = ""
        if self.command.module is not None:
            parts = self.command.module.split(".")
            package = self.command.module if entry.name == "__main__.py" else ".".join(parts[:-1])
            for depth in range(1, len(parts)):
                self._package(parts[:depth])
        self._file(entry, package)
        while self._later:
            step, package = self._later.pop(0)
            self._step(step, package)

    def entry(self) -> Path | None:
        """The file that the command runs."""
        if self.command.script is not None:
            target = Path(os.path.realpath(self.command.cwd / self.command.script))
            return target / "__main__.py" if target.is_dir() else target
        if self.command.module is not None:
            return module_file(self.command.module, [Path(entry.path) for entry in self.path])
        return None

    def owner(self, candidate: Candidate) -> str:
        """Who a candidate belongs to: first-party, stdlib, installed."""
        if INSTALLED & set(Path(candidate.file).parts):
            return "installed"
        if candidate.entry.origin == "stdlib":
            return "stdlib"
        if candidate.entry.origin in ("venv", "user-site", "site-packages"):
            return "installed"
        return "first-party"

    def _package(self, parts: list[str]) -> None:
        """Run the `__init__` of a package that `-m package.module` passes through."""
        file = module_file(".".join(parts), [Path(entry.path) for entry in self.path])
        if file is not None and file.name == "__main__.py":
            file = file.with_name("__init__.py")
        if file is not None and file.is_file():
            self._file(file, ".".join(parts))

    def _file(self, file: Path, package: str) -> None:
        """Run the module-level steps of `file`, whose relative imports start at `package`."""
        if file in self.files or len(self.files) >= FILE_LIMIT:
            return
        self.files[file] = []
        result = scan(file, self.cwd)
        if not result.parsed:
            self.unparsed.append(file)
        for step in result.steps:
            self._step(step, package)
        self._later += [(step, package) for step in result.deferred]

    def _step(self, step: Import | PathEdit, package: str) -> None:
        if isinstance(step, Import):
            self._import(step, package)
            return
        if step not in self._edited:
            self._edited.add(step)
            self.edits.append(step)
        self.uncertain = self.uncertain or not step.known
        if step.action == "chdir" and step.after:
            self.cwd = Path(os.path.abspath(self.cwd / step.after[0]))
        elif step.action != "environ":
            self.path = apply_edit(self.path, step, self.cwd)

    def _import(self, item: Import, package: str) -> None:
        if item.level:
            self._relative(item, package)
            return
        top = item.top
        if top in self.interpreter.unshadowable:
            return
        fresh = top not in self._loaded
        candidates = self.finder.candidates(top, self.path) if fresh else self._loaded[top]
        traced = Traced(item, item.module, candidates=candidates)
        self._record(item.file, traced)
        chosen = traced.winner
        if chosen is None:
            traced.status, traced.missing = ("unknown" if self.uncertain else "missing"), top
            traced.why = "a sys.path edit could not be computed" if self.uncertain else "no entry of the path offers it"
            return
        if item.type_checking:
            return
        self._loaded[top] = candidates
        if self.owner(chosen) == "first-party":
            self._walk(traced, chosen)

    def _record(self, file: Path, traced: Traced) -> None:
        self.traced.append(traced)
        self.files.setdefault(file, []).append(traced)

    def _walk(self, traced: Traced, chosen: Candidate) -> None:
        """Follow an absolute import into first-party files: the package, its submodules, names that are submodules."""
        place = Path(chosen.file)
        parts = traced.module.split(".")
        if chosen.kind in ("zip", "extension", "bytecode"):
            return
        if place.is_file():
            traced.runs.append(place)
            self._file(place, "")
            return
        roots = [Path(item.file) for item in traced.candidates if item.kind == "namespace"]
        self._below(traced, [place] if chosen.regular else roots, parts)

    def _below(self, traced: Traced, holders: list[Path], parts: list[str]) -> None:
        """Run `parts[0]`'s __init__ in the first holder that has the rest, then the rest, then submodules by name."""
        best: tuple[list[Path], str | None, Path] = ([], None, holders[0])
        for holder in holders:
            files, lacking = submodule(holder, parts[1:], self.finder)
            best = (files, lacking, holder)
            if lacking is None:
                break
        files, lacking, holder = best
        init = holder / "__init__.py"
        chain = [*([init] if init.is_file() else []), *files]
        if lacking is not None and not self._dynamic(chain):
            traced.status = "missing"
            traced.missing = ".".join(parts[: parts.index(lacking, 1) + 1])
            traced.why = f"{holder} holds no {lacking}"
        inner = holder.joinpath(*parts[1:])
        if inner.is_dir():
            for name in traced.item.names:
                chain += submodule(inner, [name], self.finder)[0]
        for file in chain:
            if file.suffix == ".py":
                traced.runs.append(file)
                self._file(file, self._package_of(holder, parts[0], file))

    @staticmethod
    def _dynamic(chain: list[Path]) -> bool:
        """Whether a package on the way makes submodules by itself (`__path__`, `sys.modules`)."""
        for file in chain:
            try:
                text = file.read_text(encoding="utf-8", errors="replace")
            except OSError:
                continue
            if "sys.modules" in text or "__path__" in text:
                return True
        return False

    @staticmethod
    def _package_of(holder: Path, top: str, file: Path) -> str:
        folder = file.parent.relative_to(holder)
        return ".".join([top, *folder.parts])

    def _relative(self, item: Import, package: str) -> None:
        if not package:
            traced = Traced(item, "." * item.level + item.module, "missing", missing="." * item.level + item.module)
            traced.why = "the file is run as a script, so it has no parent package"
            self._record(item.file, traced)
            return
        outer = package.split(".")
        folder = item.file.parent
        for _ in range(min(item.level, len(outer) + 1) - 1):
            folder = folder.parent
            outer.pop()
        traced = Traced(item, "." * item.level + item.module)
        self._record(item.file, traced)
        if outer:
            parts = item.module.split(".") if item.module else []
            self._below(traced, [folder], [".".join(outer), *parts])
