"""Reads the logs of runs that somebody else recorded into the same case that `cognate run` writes.

One small module a format. Each has `find(path)`, the file to read or None, decided by content, and `read(file)`, the
run in it. Nothing is ever executed or unpickled.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Collection, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from cognate.case.formats import SCHEMA
from cognate.case.store import write_json
from cognate.errors import CaseError
from cognate.observe.logs.roles import given
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.write import write_metrics

__all__ = ["ForeignRun", "import_run", "readers", "recognise"]


def readers() -> list[ModuleType]:
    """The modules of this package that read a format, those with GENERIC (any table, any JSON) after all others."""
    names = [item.name for item in pkgutil.iter_modules(__path__)]
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    known = [module for module in modules if hasattr(module, "find") and hasattr(module, "read")]
    return sorted(known, key=lambda module: (getattr(module, "GENERIC", False), module.__name__))


def recognise(path: Path) -> tuple[ModuleType, Path] | None:
    """The reader that knows what `path` is, and the file that it would read; None where none does."""
    for reader in readers():
        file = reader.find(path)
        if file is not None:
            return reader, file
    return None


def import_run(
    path: Path, case: Path, columns: Mapping[str, str] | None = None, insist: Collection[str] = (), run: str | None = None
) -> None:
    """Read the run logged at `path` (a file or a folder) and write it as a case into the folder `case`.

    `run` names one of the runs of a database; where that holds a single one, it may be left out.
    `columns` gives roles by hand (role: the log's name); those named by `insist` must be in the log. Raises CaseError
    where they are not, and where there is nothing, nothing readable, or nothing that holds the evidence of a run.
    """
    if not path.exists():
        raise CaseError(f"There is no {path}: give the log file or the folder of a run.")
    if path.is_file() and path.stat().st_size == 0:
        raise CaseError(f"{path} is empty (0 bytes): the run wrote nothing, or the copy failed; give another file.")
    with given(columns or {}):
        found = recognise(path)
    if found is None:
        known = ", ".join(reader.FORMAT for reader in readers())
        raise CaseError(f"{path} is no log that Cognate can read (it knows: {known}); record the run with `cognate run`.")
    reader, file = found
    with given(columns or {}):
        if run is not None and not hasattr(reader, "runs"):
            raise CaseError(f"{path} holds one run, not several: leave {run!r} out.")
        logged: ForeignRun = reader.read(file) if run is None else reader.read(file, run)
    for role in insist:
        _insist(logged, role, (columns or {})[role], file)
    _write(logged, file, case)


def _insist(run: ForeignRun, role: str, name: str, file: Path) -> None:
    if run.columns.get(name) == role:
        return
    if name in run.columns:
        raise CaseError(f"{name!r} cannot be the {role} of {file}: it does not count the steps or seconds of this log.")
    close = difflib.get_close_matches(name, run.columns, 1)
    known = f"did you mean {close[0]!r}?" if close else f"its columns are {', '.join(list(run.columns)[:20])}."
    raise CaseError(f"{file} has no column {name!r} with a number in it: {known}")


def _write(run: ForeignRun, file: Path, case: Path) -> None:
    try:
        case.mkdir(parents=True, exist_ok=True)
        steps = write_metrics(run, case / "metrics.jsonl")
        write_json(case / "case.json", _info(run, file, steps))
    except OSError as error:
        raise CaseError(f"{case} cannot be written ({error}); name another folder for the case.") from error


def _info(run: ForeignRun, file: Path, steps: int) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": "run",
        "origin": run.origin,
        "title": run.title,
        "columns": run.columns,
        "log": {"file": str(file), **run.facts},
        **({"exception": run.exception} if run.exception else {}),
        "integrity": {"hooks": [], "steps_seen": max(steps, run.steps), "errors": run.errors, "finished": run.finished},
    }
