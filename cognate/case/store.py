"""Reading and writing the files of a case: tolerant of torn lines, killed writers and strangers; never a pickle.

Standard library only: the recorder uses it inside the user's process.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cognate.errors import CaseError


def finite(value: Any) -> Any:
    """Return JSON-safe `value`: non-finite floats become None (the caller keeps a flag beside it)."""
    if isinstance(value, float):
        return value if value - value == 0.0 else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def dumps(value: Any) -> str:
    """Serialise `value` to one line of strict JSON."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)
    except ValueError:  # a non-finite number somewhere: rare, and only then worth the walk
        return json.dumps(finite(value), ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=str)


def write_json(path: Path, value: Any) -> None:
    """Replace `path` atomically by `value` as readable JSON."""
    temporary = path.with_name(path.name + ".tmp")
    text = json.dumps(finite(value), ensure_ascii=False, indent=1, allow_nan=False, default=str)
    temporary.write_text(text + "\n", encoding="utf-8", errors="replace")
    temporary.replace(path)


class Appender:
    """An append-only JSONL file: one `os.write` a call, so that a line survives the death of the process."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0), 0o644)

    def write(self, *rows: Any) -> None:
        """Append `rows`, one JSON line each."""
        if rows:
            os.write(self._descriptor, "".join(dumps(row) + "\n" for row in rows).encode("utf-8", "replace"))

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def read_json(path: Path) -> Any:
    """Read one JSON document. Raises CaseError where it cannot be read."""
    try:
        return json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError, RecursionError) as error:  # the last for [[[[[…
        raise CaseError(f"{path} cannot be read as JSON ({error}); delete it or record the run again.") from error


def read_rows(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file; a torn last line, junk and non-objects are passed over."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(row, dict):
                    yield row
    except OSError:
        return
