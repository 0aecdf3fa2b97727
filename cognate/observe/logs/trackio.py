"""Trackio: the database of a project, with one row of JSON text a call of `log`."""

from __future__ import annotations

import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from cognate.observe.logs import sqlite
from cognate.observe.logs.nested import numbers
from cognate.observe.logs.run import ForeignRun, number
from cognate.observe.logs.scalar_rows import run_of
from cognate.observe.logs.scalars import Points
from cognate.observe.logs.stores import chosen

FORMAT = "Trackio database"
_TABLES = {"metrics": {"run_name", "timestamp", "step", "metrics"}}
_MOST_ROWS, _MOST_RUNS = 20_000_000, 10_000


def find(path: Path) -> Path | None:
    """`path` where it is such a database, else None."""
    return path if path.is_file() and sqlite.tables(path, _TABLES) else None


def runs(file: Path) -> list[str]:
    """Names of the runs in the database, oldest first."""
    with sqlite.opened(file) as connection:
        return sqlite.labels(_listed(connection, _key(connection)))


def read(file: Path, run: str | None = None) -> ForeignRun:
    """Read a run. Raises CaseError where the database holds several and `run` names none, or it is damaged."""
    with sqlite.opened(file) as connection:
        key = _key(connection)
        listed = _listed(connection, key)
        names = sqlite.labels(listed)
        index = chosen(file, names, run)
        points, lost = _collect(connection, key, listed[index][0])
    errors = [f"{lost} rows could not be read as JSON and were left out"] if lost else []
    return run_of(points, "Trackio", names[index], errors, calls=True, unreadable=lost, project=file.stem)


def _key(connection: sqlite3.Connection) -> str:
    """The column that tells runs apart: older databases know their names alone."""
    return "run_id" if "run_id" in sqlite.columns(connection, "metrics") else "run_name"


def _listed(connection: sqlite3.Connection, key: str) -> list[tuple[Any, Any]]:
    statement = f"SELECT {key}, substr(min(run_name), 1, 200) FROM metrics GROUP BY {key} ORDER BY min(rowid) LIMIT ?"
    return connection.execute(statement, (_MOST_RUNS,)).fetchall()


def _collect(connection: sqlite3.Connection, key: str, identity: Any) -> tuple[Points, int]:
    """The points of a run, and how many rows are none."""
    points, lost = Points(), 0
    statement = f"SELECT step, timestamp, metrics FROM metrics WHERE {key} IS ? AND length(metrics) <= ? ORDER BY rowid LIMIT ?"
    for step, time, text in connection.execute(statement, (identity, sqlite.LARGEST_TEXT, _MOST_ROWS)):
        whole, _ = number(step)
        row = _loaded(text)
        if row is None or whole is None or not abs(whole) < 1 << 62:
            lost += 1
            continue
        seconds = _seconds(time)
        for name, value in numbers("", row):
            points.add(name, int(whole), seconds, value)
    return points, lost


def _loaded(text: Any) -> dict[str, Any] | None:
    try:
        row = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _seconds(text: Any) -> float:
    try:
        return datetime.fromisoformat(str(text)).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0.0
