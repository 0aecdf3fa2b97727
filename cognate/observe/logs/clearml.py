"""ClearML offline sessions: the folder `offline-ID` or its .zip, with `task.json` and `metrics.jsonl`.

Each line of the metrics is a list of reported events. Nothing of an archive is unpacked: the two files are read in it.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from cognate.errors import CaseError
from cognate.observe.logs.nested import numbers
from cognate.observe.logs.run import ForeignRun, number
from cognate.observe.logs.scalar_rows import run_of
from cognate.observe.logs.scalars import Points

FORMAT = "ClearML offline session"
_METRICS, _TASK = "metrics.jsonl", "task.json"
_KIND = b'"training_stats_scalar"'
# A session of a million points is 200 MB; an archive that unpacks to more than this is none.
_LARGEST, _LONGEST_LINE = 4 << 30, 1 << 24
_PEEK = 1 << 16
# What zipfile raises on damage, on a compression that it does not know, and on an archive with a password.
_BROKEN = (
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    OverflowError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
)


def find(path: Path) -> Path | None:
    """The session that `path` is: a folder, an archive, or the metrics in a folder."""
    if path.is_dir():
        path = path / _METRICS
    if not path.is_file():
        return None
    try:
        with _opened(path) as stream:
            start = stream.read(_PEEK)
    except (CaseError, *_BROKEN):
        return None
    return path if start.lstrip().startswith(b"[{") and _KIND in start else None


def read(file: Path) -> ForeignRun:
    """Read the scalars of a session. Raises CaseError where it has none or is damaged."""
    points = Points()
    lost, cut = 0, False
    try:
        with _opened(file) as stream:
            size = 0
            while line := stream.readline(_LONGEST_LINE):
                size += len(line)
                if size > _LARGEST:
                    cut = True
                    break
                lost += _take(line, points)
    except _BROKEN as error:
        if not points.count:
            raise CaseError(f"{file} cannot be read ({error}): copy it again, it may be cut off.") from error
        lost += 1
    errors = [f"{lost} lines or events could not be read"] if lost else []
    errors += [f"what follows the first {_LARGEST >> 30} GB was left out"] if cut else []
    task = _task(file)
    name = str(task.get("name") or (file.stem if file.suffix == ".zip" else file.resolve().parent.name))
    return run_of(points, "ClearML offline session", name[:200], errors, unreadable=lost + cut, project=task.get("project_name"))


@contextmanager
def _opened(file: Path, name: str = _METRICS) -> Iterator[IO[bytes]]:
    """The file called `name` of a session. Raises CaseError where there is none."""
    if not zipfile.is_zipfile(file):
        with file.with_name(name).open("rb") if name != _METRICS else file.open("rb") as stream:
            yield stream
        return
    with zipfile.ZipFile(file) as archive:
        inside = next((item for item in archive.infolist() if item.filename.rpartition("/")[2] == name), None)
        if inside is None:
            raise CaseError(f"{file} holds no {name}: give the archive of an offline session.")
        with archive.open(inside) as stream:
            yield stream


def _take(line: bytes, points: Points) -> int:
    """Add the scalars of one line; how much of it could not be read."""
    if not line.strip():
        return 0
    try:
        events = json.loads(line)
    except (ValueError, RecursionError):
        return 1
    lost = 0
    for event in events if isinstance(events, list) else [events]:
        if not isinstance(event, dict):
            lost += 1
        elif event.get("type") == "training_stats_scalar":
            lost += not _add(event, points)
    return lost


def _add(event: dict[str, Any], points: Points) -> bool:
    step, _ = number(event.get("iter"))
    time, _ = number(event.get("timestamp"))
    parts = [str(event.get(key) or "") for key in ("metric", "variant")]
    # A scalar without variants has its own name twice.
    name = parts[0] if parts[0] == parts[1] else "/".join(part for part in parts if part)
    found = list(numbers(name, event.get("value")))
    if step is None or not abs(step) < 1 << 62 or len(found) != 1 or not name:
        return False
    # The load of the machine, sampled by ClearML itself, and values of the whole run (their iteration is the least int32).
    if not name.startswith(":monitor:") and step > -(1 << 31):
        points.add(found[0][0], int(step), (time or 0.0) / 1000, found[0][1])
    return True


def _task(file: Path) -> dict[str, Any]:
    try:
        with _opened(file, _TASK) as stream:
            task = json.load(io.BytesIO(stream.read(1 << 22)))
    except (CaseError, RecursionError, *_BROKEN):
        return {}
    return task if isinstance(task, dict) else {}
