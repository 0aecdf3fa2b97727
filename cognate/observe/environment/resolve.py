"""Finds the file that an import loads, by Python's own order, without importing: every candidate, then the winner."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cognate.observe.environment.syspath import Entry
from cognate.observe.source.names import Defined, defined

# Paths to be taken for absent: the world as a fix would leave it.
ABSENT: set[str] = set()


@dataclass(frozen=True)
class Candidate:
    """A place from which a module could be loaded."""

    file: str
    kind: str  # package | module | extension | bytecode | namespace | zip | hook
    entry: Entry
    beside: str = ""  # a source file of the same name that this one hides

    @property
    def regular(self) -> bool:
        """Whether it wins at once; portions of a namespace package wait for the end of the path."""
        return self.kind != "namespace"


class Finder:
    """Looks modules up in folders, zip files and the tables of editable installs; listings are read once."""

    def __init__(self, extensions: Sequence[str]) -> None:
        # The order of importlib: extensions, source, bytecode.
        self._suffixes = (*((suffix, "extension") for suffix in extensions), (".py", "module"), (".pyc", "bytecode"))
        self._listings: dict[str, frozenset[str]] = {}
        self._zips: dict[str, frozenset[str]] = {}

    def listing(self, folder: str) -> frozenset[str]:
        """Names in `folder`; empty where it cannot be read."""
        if folder not in self._listings:
            try:
                names = os.listdir(folder)
                self._listings[folder] = frozenset(n for n in names if not ABSENT or os.path.join(folder, n) not in ABSENT)
            except OSError:
                self._listings[folder] = frozenset()
        return self._listings[folder]

    def in_folder(self, name: str, entry: Entry) -> Candidate | None:
        """The candidate for `name` in one folder: package before modules, a bare folder only as namespace portion."""
        names = self.listing(entry.path)
        base = os.path.join(entry.path, name)
        bare = False
        if name in names and os.path.isdir(base):
            inner = self.listing(base)
            if any(f"__init__{suffix}" in inner for suffix, _ in self._suffixes):
                return Candidate(base, "package", entry, f"{base}.py" if f"{name}.py" in names else "")
            bare = True
        for suffix, kind in self._suffixes:
            if name + suffix in names and not os.path.isdir(base + suffix):
                hides = kind == "extension" and f"{name}.py" in names
                return Candidate(base + suffix, kind, entry, f"{base}.py" if hides else "")
        return Candidate(base, "namespace", entry) if bare else None

    def candidates(self, name: str, path: Sequence[Entry]) -> list[Candidate]:
        """Every place on `path` that offers the top-level module `name`, in the order of the path."""
        found: list[Candidate] = []
        for entry in path:
            if entry.mapping:
                target = dict(entry.mapping).get(name)
                candidate = Candidate(target, "hook", entry) if target and Path(target).exists() else None
            elif entry.path.endswith((".zip", ".egg", ".whl")) and os.path.isfile(entry.path):
                candidate = self._in_zip(name, entry)
            else:
                candidate = self.in_folder(name, entry)
            if candidate is not None and all(candidate.file != other.file for other in found):
                found.append(candidate)
        return found

    def _in_zip(self, name: str, entry: Entry) -> Candidate | None:
        if entry.path not in self._zips:
            import zipfile  # hardly any path holds an archive

            try:
                with zipfile.ZipFile(entry.path) as archive:
                    self._zips[entry.path] = frozenset(archive.namelist())
            except (OSError, zipfile.BadZipFile):
                self._zips[entry.path] = frozenset()
        names = self._zips[entry.path]
        offered = any(f"{name}{ending}" in names for ending in ("/__init__.py", "/__init__.pyc", ".py", ".pyc"))
        return Candidate(os.path.join(entry.path, name), "zip", entry) if offered else None


def winner(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate that Python loads: the first regular one, else the namespace package that the portions form."""
    return next((item for item in candidates if item.regular), candidates[0] if candidates else None)


def offers(candidate: Candidate) -> Defined:
    """The names that a candidate defines; open where that cannot be told, or where it makes names when they are asked for."""
    if candidate.kind in ("zip", "extension", "bytecode"):
        return Defined(open=True)
    found = defined(Path(candidate.file))
    found.open = found.open or "__getattr__" in found.names
    return found


def submodule(folder: Path, parts: Sequence[str], finder: Finder) -> tuple[list[Path], str | None]:
    """Follow `parts` below the package `folder`; return (files it runs, the first part that is not there or None)."""
    files: list[Path] = []
    for part in parts:
        found = finder.in_folder(part, Entry(str(folder), "package", ""))
        if found is None:
            return files, part
        place = Path(found.file)
        if found.kind == "package":
            files.append(place / "__init__.py")
        elif found.regular:
            files.append(place)
            folder = place
            continue
        folder = place
    return files, None
