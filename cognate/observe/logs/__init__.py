"""Reads the logs of runs that somebody else recorded into the same case that `cognate run` writes.

One small module a format. Each has `find(path)`, the file to read or None, decided by content, and `read(file)`, the
run in it. Nothing is ever executed or unpickled.
"""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from cognate.case.formats import SCHEMA
from cognate.case.store import dumps, write_json
from cognate.errors import CaseError
from cognate.observe.logs.run import ForeignRun

__all__ = ["ForeignRun", "import_run", "readers", "recognise"]


def readers() -> list[ModuleType]:
    """The modules of this package that read a format, by name."""
    names = sorted(item.name for item in pkgutil.iter_modules(__path__))
    modules = [importlib.import_module(f"{__name__}.{name}") for name in names]
    return [module for module in modules if hasattr(module, "find") and hasattr(module, "read")]


def recognise(path: Path) -> tuple[ModuleType, Path] | None:
    """The reader that knows what `path` is, and the file that it would read; None where none does."""
    for reader in readers():
        file = reader.find(path)
        if file is not None:
            return reader, file
    return None


def import_run(path: Path, case: Path) -> None:
    """Read the run logged at `path` (a file or a folder) and write it as a case into the folder `case`.

    Raises CaseError where there is nothing, nothing readable, or nothing that holds the evidence of a run.
    """
    if not path.exists():
        raise CaseError(f"There is no {path}: give the log file or the folder of a run.")
    if path.is_file() and path.stat().st_size == 0:
        raise CaseError(f"{path} is empty (0 bytes): the run wrote nothing, or the copy failed; give another file.")
    found = recognise(path)
    if found is None:
        known = ", ".join(reader.FORMAT for reader in readers())
        raise CaseError(f"{path} is no log that Cognate can read (it knows: {known}); record the run with `cognate run`.")
    reader, file = found
    run: ForeignRun = reader.read(file)
    _write(run, file, case)


def _write(run: ForeignRun, file: Path, case: Path) -> None:
    steps = max((int(row.get("step") or 0) for row in run.rows), default=0)
    info = {
        "schema": SCHEMA,
        "kind": "run",
        "origin": run.origin,
        "title": run.title,
        "columns": run.columns,
        "log": {"file": str(file), **run.facts},
        "integrity": {"hooks": [], "steps_seen": max(steps, run.steps), "errors": run.errors, "finished": run.finished},
    }
    text = "".join(dumps(row) + "\n" for row in run.rows)
    try:
        case.mkdir(parents=True, exist_ok=True)
        (case / "metrics.jsonl").write_text(text, encoding="utf-8", errors="replace")
        write_json(case / "case.json", info)
    except OSError as error:
        raise CaseError(f"{case} cannot be written ({error}); name another folder for the case.") from error
