"""MLflow: the database of a tracking server, `mlflow.db`, and its older store in files, `mlruns/EXPERIMENT/RUN/metrics/…`."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs import sqlite
from cognate.observe.logs.run import ForeignRun, number
from cognate.observe.logs.scalar_rows import run_of
from cognate.observe.logs.scalars import Points
from cognate.observe.logs.stores import chosen

FORMAT = "MLflow database or mlruns folder"
_TABLES = {
    "metrics": {"key", "value", "timestamp", "run_uuid", "step", "is_nan"},
    "runs": {"run_uuid", "name", "status", "lifecycle_stage"},
}
# MLflow writes infinity as the largest double.
_LARGEST = 1.7976931348623157e308
_MOST_ROWS, _MOST_RUNS = 20_000_000, 10_000
_MOST_FILES, _LARGEST_FILE = 20_000, 1 << 30
_FINISHED = ("FINISHED", "3")

Point = tuple[str, int, float, float]  # name, step, seconds, value


def find(path: Path) -> Path | None:
    """The database, the folder of a run, or the `mlruns` folder with exactly one run in it, that `path` is or holds."""
    if path.is_file():
        return path if sqlite.tables(path, _TABLES) else None
    if not path.is_dir():
        return None
    if _is_run(path):
        return path
    database = path / "mlflow.db"
    return database if database.is_file() and sqlite.tables(database, _TABLES) else None


def runs(file: Path) -> list[str]:
    """Names of the runs in the database that logged a number, oldest first; one for a run's folder."""
    if file.is_dir():
        return [_meta(file).get("run_name") or file.name]
    with sqlite.opened(file) as connection:
        return sqlite.labels([(row[0], row[1]) for row in _listed(connection)])


def read(file: Path, run: str | None = None) -> ForeignRun:
    """Read a run's metrics. Raises CaseError where the database holds several and `run` names none, or it is damaged."""
    if file.is_dir():
        return _from_files(file)
    with sqlite.opened(file) as connection:
        listed = _listed(connection)
        names = sqlite.labels([(row[0], row[1]) for row in listed])
        index = chosen(file, names, run)
        identity, _, status = listed[index]
        points, lost = _collect(_rows(connection, str(identity)))
    return _run(points, names[index], str(status), lost)


def _listed(connection: sqlite3.Connection) -> list[tuple[Any, Any, Any]]:
    return connection.execute(
        "SELECT run_uuid, substr(name, 1, 200), status FROM runs WHERE lifecycle_stage IS NOT 'deleted'"
        " AND run_uuid IN (SELECT run_uuid FROM metrics) ORDER BY rowid LIMIT ?",
        (_MOST_RUNS,),
    ).fetchall()


def _rows(connection: sqlite3.Connection, identity: str) -> Iterator[tuple[Any, ...]]:
    # Rows are numbered in the order in which they were logged.
    yield from connection.execute(
        "SELECT substr(key, 1, 300), step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY rowid LIMIT ?",
        (identity, _MOST_ROWS),
    )


def _collect(rows: Iterable[tuple[Any, ...]]) -> tuple[Points, int]:
    """The points in `rows`, and how many rows are none."""
    points, lost = Points(), 0
    for name, step, time, value, is_nan in rows:
        finite, flag = number(value)
        whole, _ = number(step)
        if whole is None or (finite is None and flag is None) or not abs(whole) < 1 << 62:
            lost += 1
        elif not str(name).startswith("system/"):  # the load of the machine, sampled by MLflow itself
            shown = math.nan if is_nan or flag == "nan" else float(value)
            shown = math.copysign(math.inf, shown) if abs(shown) >= _LARGEST else shown
            points.add(str(name), int(whole), (number(time)[0] or 0.0) / 1000, shown)
    return points, lost


def _run(points: Points, name: str, status: str, lost: int) -> ForeignRun:
    errors = [f"{lost} rows of metrics are no numbers and were left out"] if lost else []
    return run_of(points, "MLflow", name, errors, unreadable=lost, status=status, finished=status in _FINISHED)


def _is_run(folder: Path) -> bool:
    return (folder / "meta.yaml").is_file() and (folder / "metrics").is_dir()


def _meta(folder: Path) -> dict[str, str]:
    """The plain `key: value` lines of meta.yaml."""
    try:
        with (folder / "meta.yaml").open(encoding="utf-8", errors="replace") as stream:
            text = stream.read(1 << 16)
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.splitlines() if line[:1].strip())
    return {key.strip(): value.strip().strip("'\"") for key, _, value in pairs}


def _from_files(folder: Path) -> ForeignRun:
    """One file a metric; its name is its path, its lines are "milliseconds value step"."""
    found: list[tuple[float, Point]] = []
    lost = 0
    files = sorted(file for file in (folder / "metrics").rglob("*") if file.is_file())
    for file in files[:_MOST_FILES]:
        name = file.relative_to(folder / "metrics").as_posix()
        lines, bad = _lines(file)
        lost += bad
        found += [(time, (name, step, time, value)) for time, step, value in lines]
    found.sort(key=lambda pair: pair[0])
    points, more = _collect((name, step, time, value, False) for _, (name, step, time, value) in found)
    meta = _meta(folder)
    return _run(points, meta.get("run_name") or folder.resolve().name, meta.get("status", ""), lost + more)


def _lines(file: Path) -> tuple[Sequence[tuple[float, int, float]], int]:
    """Milliseconds, step and value of each line, and how many lines are none."""
    rows, lost = [], 0
    try:
        if file.stat().st_size > _LARGEST_FILE:
            raise CaseError(f"{file} is larger than a metric of MLflow can be: give another folder.")
        with file.open(encoding="utf-8", errors="replace") as stream:
            for line in stream:
                parts = line.split()
                with suppress(ValueError, IndexError):
                    rows.append((float(parts[0]), int(parts[2]) if len(parts) > 2 else 0, float(parts[1])))
                    continue
                lost += bool(parts)
    except OSError as error:
        raise CaseError(f"{file} cannot be read ({error.strerror or error}): check its permissions.") from error
    return rows, lost
