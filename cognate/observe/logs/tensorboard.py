"""TensorBoard event files: one file, or the folder of a run with all that its restarts, add_scalars and Keras wrote there."""

from __future__ import annotations

import re
import struct
from collections import Counter
from pathlib import Path

from cognate.errors import CaseError
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.scalar_rows import run_of
from cognate.observe.logs.scalars import Points
from cognate.observe.logs.tfrecord import looks_right, read_events

FORMAT = "TensorBoard events"
# Folders that Keras and TensorFlow's estimators make for the two sides of one run.
_SIDES = {"train", "training", "validation", "val", "valid", "eval", "evaluation", "test", "dev"}
_MOST_FILES = 2000


def find(path: Path) -> Path | None:
    """`path` where it is an event file or the folder of a run that has some, else None."""
    if path.is_file():
        return path if _is_events(path) else None
    return path if path.is_dir() and files_of(path) else None


def read(file: Path) -> ForeignRun:
    """Read the scalars of the file or folder `file`. Raises CaseError where it holds none."""
    files = [(file, "")] if file.is_file() else files_of(file)
    points = Points()
    lost: Counter[str] = Counter()
    for one, prefix in sorted(files, key=lambda pair: (_begun(pair[0]), str(pair[0]))):
        try:
            losses = read_events(one, points, prefix)
        except OSError as error:
            raise CaseError(f"{one} cannot be read ({error.strerror or error}): check its permissions.") from error
        lost.update(records=losses.records, large=losses.large, cut=losses.cut)
    errors = []
    if lost["records"]:
        errors.append(f"{lost['records']} damaged events could not be read")
    if lost["cut"]:
        errors.append(f"{lost['cut']} bytes at the end of an event file are no whole event: it was cut off, or is damaged there")
    if lost["large"]:
        errors.append(f"{lost['large']} events of more than 64 MB were passed over")
    unreadable = lost["records"] + lost["large"] + bool(lost["cut"])
    title = file.resolve().parent.name if file.is_file() else file.resolve().name
    return run_of(points, "TensorBoard events", title or str(file), errors, unreadable=unreadable, files=len(files))


def files_of(folder: Path) -> list[tuple[Path, str]]:
    """The event files of the run in `folder`, each with what its tags are to be prefixed with."""
    own = [(file, "") for file in _event_files(folder)]
    inner = {sub: _event_files(sub) for sub in _folders(folder)}
    inner = {sub: files for sub, files in inner.items() if files}
    sides = [sub for sub in inner if sub.name.lower() in _SIDES]
    if own:
        found = [(file, prefix) for sub, files in inner.items() for file in files if (prefix := _part(sub, file)) is not None]
    elif len(sides) == len(inner) and len(sides) > 1:
        found = []
    else:
        return []
    return [*own, *found, *((file, f"{sub.name}/") for sub in sides for file in inner[sub])][:_MOST_FILES]


def _part(folder: Path, file: Path) -> str | None:
    """The prefix for a folder that torch's add_scalars made beside the run's own file, None where it is a run of its own.

    `add_scalars("loss", {"train": …})` writes the tag "loss" into the folder "loss_train": one tag, and the name begins with it.
    """
    if folder.name.lower() in _SIDES:
        return None
    points = Points()
    try:
        if file.stat().st_size > 1 << 26:
            return None
        read_events(file, points)
    except OSError:
        return None
    tags = list(points.series)
    flat = re.sub(r"/", "_", tags[0]) if len(tags) == 1 else ""
    if not flat or not folder.name.startswith(f"{flat}_"):
        return None
    return f"{folder.name[len(flat) + 1 :]}/"


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(item for item in folder.iterdir() if item.is_dir() and not item.name.startswith("."))[:_MOST_FILES]
    except OSError:
        return []


def _event_files(folder: Path) -> list[Path]:
    try:
        names = sorted(item for item in folder.iterdir() if "tfevents" in item.name and item.is_file())
    except OSError:
        return []
    return [file for file in names if _is_events(file)][:_MOST_FILES]


def _is_events(file: Path) -> bool:
    return looks_right(_start(file))


def _begun(file: Path) -> float:
    """When the file was begun, by the first event in it; names repeat and clocks of files are reset by copying."""
    start = _start(file)
    return float(struct.unpack_from("<d", start, 13)[0]) if len(start) > 21 and start[12] == 9 else 0.0


def _start(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(4200)
    except OSError:
        return b""
