"""Follows the imports of the first-party code in the order in which they run, on the path as it is at each moment."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cognate.observe.environment import binary
from cognate.observe.environment.below import Below
from cognate.observe.environment.collect import base_of, collected, stops
from cognate.observe.environment.interpreter import Interpreter
from cognate.observe.environment.resolve import Candidate, Finder, submodule, winner
from cognate.observe.environment.standard import lacking
from cognate.observe.environment.syspath import Command, Entry, apply_edit, compute
from cognate.observe.source import Import, PathEdit, module_file, scan
from cognate.observe.source.closure import FILE_LIMIT, INSTALLED
from cognate.observe.source.names import bound_before
from cognate.observe.source.text import SUBSTITUTES


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
    breaks: list[dict[str, Any]] = field(default_factory=list)  # links to what breaks below an installed module
    cycle: dict[str, Any] = field(default_factory=dict)  # a name asked of a module that is still being loaded

    @property
    def winner(self) -> Candidate | None:
        """What Python loads."""
        return winner(self.candidates)


class Tracer:
    """Walks the closure of one command. Nothing is imported or run."""

    def __init__(
        self, interpreter: Interpreter, path: list[Entry], command: Command, environ: Mapping[str, str] | None = None
    ) -> None:
        self.interpreter = interpreter
        self.environ = environ or {}
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
        self.customized: list[dict[str, Any]] = []  # what sitecustomize and usercustomize do before the script
        self._below_installed = Below(interpreter, self.finder)
        self._running: dict[Path, Import | None] = {}  # files under way, each with the import that it is at
        self._loaded: dict[str, list[Candidate]] = {}
        self._later: list[tuple[Import | PathEdit, str]] = []
        self._edited: set[PathEdit] = set()

    def run(self) -> None:
        """Trace the command from its first file on."""
        self._customize()
        if self.command.tests is not None:
            self._tests(self.command.cwd / self.command.tests)
        if (entry := self.entry()) is not None:
            self._start(entry)
        while self._later:
            step, package = self._later.pop(0)
            self._step(step, package)

    def _start(self, entry: Path) -> None:
        package = ""
        if self.command.module is not None:
            parts = self.command.module.split(".")
            package = self.command.module if entry.name == "__main__.py" else ".".join(parts[:-1])
            for depth in range(1, len(parts)):
                self._package(parts[:depth])
        self._file(entry, package)

    def _customize(self) -> None:
        """Apply what the sitecustomize module does to the path: Python loads it before the script's folder is there."""
        early = [entry for entry in self.path if entry.origin not in ("script", "cwd")]
        for name in ("sitecustomize", "usercustomize") if "S" not in self.command.flags else ():
            chosen = winner(self.finder.candidates(name, early))
            if chosen is None or chosen.entry.origin == "stdlib" or not chosen.file.endswith(".py"):
                continue
            file = Path(chosen.file)
            end = stops(file)
            self.customized.append({"file": chosen.file, "by": chosen.entry.by, **(end or {})})
            for step in scan(file, self.cwd).steps:
                if isinstance(step, PathEdit) and step.line <= (end or {}).get("line", step.line):
                    self._step(step, "")

    def _tests(self, target: Path) -> None:
        """Collect as pytest does: ini folders, then each conftest and test file with its own base folder in front."""
        folders, files = collected(target, self.command.cwd)
        for folder in folders:
            self.path = [Entry(folder, "edit", "pythonpath of the pytest settings"), *self.path]
        for file in files:
            base, package = base_of(file)
            if all(entry.path != str(base) for entry in self.path):
                self.path = [Entry(str(base), "script", f"pytest puts the base folder of {file.name} first"), *self.path]
            self._file(file, package)

    def entry(self) -> Path | None:
        """The file that the command runs."""
        if self.command.script is not None:
            target = Path(os.path.realpath(self.command.cwd / self.command.script))
            return target / "__main__.py" if target.is_dir() else target
        if self.command.module is not None:
            return module_file(self.command.module, [Path(entry.path) for entry in self.path])
        if self.command.code is not None:
            file = self.command.cwd / "<command line>"
            SUBSTITUTES[file] = self.command.code
            return file
        if self.command.tests is not None:
            return next(iter(collected(self.command.cwd / self.command.tests, self.command.cwd)[1][-1:]), None)
        return None

    def without_switches(self) -> Iterator[tuple[str, list[Entry]]]:
        """(switch, path without it) for each flag and variable that takes entries off the path of this command."""
        plain = {name: value for name, value in self.environ.items() if name not in ("PYTHONSAFEPATH", "PYTHONNOUSERSITE")}
        for letter in self.command.flags:
            if letter in "IPSsE":
                flags = self.command.flags.replace(letter, "")
                yield f"the flag -{letter}", compute(self.interpreter, replace(self.command, flags=flags), self.environ)
        for name in ("PYTHONSAFEPATH", "PYTHONNOUSERSITE") if self.command.obeys_variables else ():
            if self.environ.get(name):
                environ = plain | {
                    key: self.environ[key]
                    for key in ("PYTHONSAFEPATH", "PYTHONNOUSERSITE")
                    if key != name and key in self.environ
                }
                yield f"{name}={self.environ[name]}", compute(self.interpreter, self.command, environ)

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
        self._running[file] = None
        result = scan(file, self.cwd)
        if not result.parsed:
            self.unparsed.append(file)
        for step in result.steps:
            if isinstance(step, Import):
                self._running[file] = step
            self._step(step, package)
        del self._running[file]
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
            traced.why = "a sys.path edit could not be computed" if self.uncertain else self._why(top)
            return
        if item.type_checking:
            return
        self._loaded[top] = candidates
        owner = self.owner(chosen)
        if owner == "first-party":
            self._walk(traced, chosen)
        elif owner == "installed":
            self._installed(traced, chosen)
        elif owner == "stdlib":
            traced.breaks = lacking(item, chosen)

    def _why(self, top: str) -> str:
        for entry in self.path:
            other = binary.other_abi(top, self.finder.listing(entry.path), self.interpreter.extensions)
            if other:
                return f"{Path(entry.path, other)} is built for {binary.built_for(other)}"
        return "no entry of the path offers it"

    def _installed(self, traced: Traced, chosen: Candidate) -> None:
        """Check the submodule that is asked for, and follow what loading the package itself imports."""
        parts = traced.item.module.split(".")
        if chosen.kind == "package" and len(parts) > 1:
            files, absent = submodule(Path(chosen.file), parts[1:], self.finder)
            init = Path(chosen.file, "__init__.py")
            if absent is not None and not self._dynamic([init, *files]):
                holder = files[-1].parent if files and files[-1].name == "__init__.py" else Path(chosen.file)
                traced.status, traced.missing = "missing", ".".join(parts[: parts.index(absent, 1) + 1])
                other = binary.other_abi(absent, self.finder.listing(str(holder)), self.interpreter.extensions)
                traced.why = f"{holder} holds no {absent}"
                if other:
                    traced.breaks = [{"file": str(traced.item.file), "line": traced.item.line, "module": traced.missing,
                                      "reason": "abi", "detail": str(holder / other)}]  # fmt: skip
                return
        traced.breaks = self._below_installed.of(chosen, traced.item.module, traced.item.names, self.path)

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
            self._circle(traced, place)
            self._file(place, "")
            return
        roots = [Path(item.file) for item in traced.candidates if item.kind == "namespace"]
        self._below(traced, [place] if chosen.regular else roots, parts)

    def _below(self, traced: Traced, holders: list[Path], parts: list[str]) -> None:
        """Run `parts[0]`'s __init__ in the first holder that has the rest, then the rest, then submodules by name."""
        files: list[Path] = []
        absent: str | None = None
        for holder in holders:
            files, absent = submodule(holder, parts[1:], self.finder)
            if absent is None:
                break
        init = holder / "__init__.py"
        chain = [*([init] if init.is_file() else []), *files]
        if absent is not None and not self._dynamic(chain):
            traced.status = "missing"
            traced.missing = ".".join(parts[: parts.index(absent, 1) + 1])
            traced.why = f"{holder} holds no {absent}"
        inner = holder.joinpath(*parts[1:])
        if inner.is_dir():
            for name in traced.item.names:
                chain += submodule(inner, [name], self.finder)[0]
        for file in chain:
            if file.suffix == ".py":
                traced.runs.append(file)
                if file == chain[-1] or (file == init and not files):
                    self._circle(traced, file)
                self._file(file, self._package_of(holder, parts[0], file))

    def _circle(self, traced: Traced, file: Path) -> None:
        """Note where names are asked of a module that is still being loaded and has not defined them yet."""
        item, entry = traced.item, self.entry()
        if file not in self._running or item.file == file or item.function or item.type_checking:
            return
        at = self._running[file]
        if file == entry and self.command.module is None:
            # Imported by its name the script runs a second time, and asks for what its own first import has begun.
            if at is None or not at.names:
                return
            holder = next((place for place in self._running if place != entry), file)
            names, by = at.names, at
            file, at = holder, self._running[holder]
        else:
            names, by = item.names, item
        ready = bound_before(file, at.line if at is not None else 0)
        late = [name for name in names if ready is not None and name not in ready and name != "*"]
        late = [
            name
            for name in late
            if not (file.name == "__init__.py" and self.finder.in_folder(name, Entry(str(file.parent), "", "")))
        ]
        if late:
            at_line = at.line if at is not None else 1
            traced.cycle = {
                "name": late[0],
                "file": str(file),
                "line": at_line,
                "asked_at": f"{by.file}:{by.line}",
                "text": at.statement if at is not None else "",
            }

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
