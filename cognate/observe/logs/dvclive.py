"""DVCLive: `dvclive/metrics.json` with the last values, and a table for each metric under `dvclive/plots/metrics`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs.beside import settings_beside, title_of
from cognate.observe.logs.cells import CellParser
from cognate.observe.logs.load import size_of
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.table import MOST_NAMES, Log, Record, run_of
from cognate.observe.logs.text import Losses, head, pieces

FORMAT = "DVCLive folder"
# One metric of a run that logs every second for half a year.
_LARGEST = 256 << 20
_MOST_RECORDS = 2_000_000


def find(path: Path) -> Path | None:
    """The folder of metrics that `path` is, holds, or whose metrics.json it is."""
    if path.is_file():
        return path if path.name == "metrics.json" and _tables(path.parent) else None
    if not path.is_dir():
        return None
    for folder in (path, path / "dvclive", *([path.parent.parent] if path.parts[-2:] == ("plots", "metrics") else [])):
        if _tables(folder):
            return folder
    return None


def read(file: Path) -> ForeignRun:
    """Read the tables beside or in `file`. Raises CaseError where none holds a number."""
    folder = file if file.is_dir() else file.parent
    tables = _tables(folder)
    if not tables:
        raise CaseError(f"{folder} has no tables under plots/metrics: give the folder that DVCLive writes into.")
    log = Log(
        file, "DVCLive", title_of(folder / "metrics.json"), facts={**settings_beside(folder / "metrics.json"), **_last(folder)}
    )
    records: dict[float, Record] = {}
    if len(tables) > MOST_NAMES:
        log.losses.note("tables left out beyond the first 2,000", count=len(tables) - MOST_NAMES)
    for table in tables[:MOST_NAMES]:
        name = table.relative_to(folder / "plots" / "metrics").with_suffix("").as_posix()
        if size_of(table) > _LARGEST or len(records) > _MOST_RECORDS:
            log.losses.note("tables left out that are too large")
            continue
        for step, value in _points(table, log.losses):
            records.setdefault(step, {"step": step})[name] = value
    return run_of(log, [records[step] for step in sorted(records)])


def _tables(folder: Path) -> list[Path]:
    root = folder / "plots" / "metrics"
    if not root.is_dir():
        return []
    return [table for table in sorted(root.rglob("*.tsv")) if head(table).startswith("step\t")]


def _points(table: Path, losses: Losses) -> Iterator[tuple[float, float]]:
    names = head(table).partition("\n")[0].split("\t")
    parser = CellParser("\t", names, losses)
    read = list(pieces(table, losses))
    for piece in read:
        for record in parser.records(piece, piece is read[-1]):
            value = next((value for name, value in record.items() if name not in ("step", "timestamp")), None)
            if "step" in record and value is not None:
                yield record["step"], value
    parser.close()


def _last(folder: Path) -> dict[str, Any]:
    """What metrics.json says of the end of the run."""
    try:
        found = json.loads((folder / "metrics.json").read_text(encoding="utf-8", errors="replace")[: 1 << 20])
    except (OSError, ValueError, RecursionError):
        return {}
    step = found.get("step") if isinstance(found, dict) else None
    return {"last_step": step} if isinstance(step, int) and not isinstance(step, bool) else {}
