"""Weights & Biases: the binary log `run-ID.wandb` of a run, also offline, alone or in its folder `wandb/run-…`.

The file is a log of LevelDB: blocks of 32 KiB with records (checksum, length, type) that are whole or continue in the next
block. Each holds a protocol buffer, and of these the rows of the history are read. Newer versions of wandb have no reader.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs.nested import numbers
from cognate.observe.logs.protobuf import BYTES, VARINT, fields, signed
from cognate.observe.logs.run import ForeignRun, number
from cognate.observe.logs.scalar_rows import run_of
from cognate.observe.logs.scalars import Points

FORMAT = "Weights & Biases .wandb"
_MAGIC = b":W&B\xe1\xbe"
_BLOCK = 32768
_HEAD = 7
_FULL, _FIRST, _MIDDLE, _LAST = 1, 2, 3, 4
# A record of more is a picture or a table; the history is small.
_LARGEST = 1 << 24
# numbers of fields in wandb_internal.proto: of a Record, …
_HISTORY, _RUN, _EXIT = 2, 17, 18
# … of an item of the history, …
_KEY, _NESTED, _JSON = 1, 2, 16
# … of a run, and of its end
_RUN_ID, _PROJECT, _DISPLAY_NAME, _EXIT_CODE = 1, 3, 8, 1
_OWN = ("_step", "_timestamp", "_runtime", "_wandb")


def find(path: Path) -> Path | None:
    """The log that `path` is or, as the folder of a run, holds."""
    if path.is_file():
        return path if _looks_right(path) else None
    if not path.is_dir():
        return None
    try:
        found = sorted(file for file in path.glob("*.wandb") if _looks_right(file))
    except OSError:
        return None
    return found[0] if len(found) == 1 else None


def read(file: Path) -> ForeignRun:
    """Read the history in `file`. Raises CaseError where there is none."""
    log = _Log()
    try:
        with file.open("rb") as stream:
            for record in log.records(stream):
                log.take(record)
    except OSError as error:
        raise CaseError(f"{file} cannot be read ({error.strerror or error}): check its permissions.") from error
    errors = [f"{log.damaged} records are damaged and were left out"] if log.damaged else []
    errors += ["the last record is cut off"] if log.cut else []
    return run_of(
        log.points,
        "Weights & Biases log",
        log.name or file.resolve().parent.name,
        errors,
        calls=True,
        unreadable=log.damaged + log.cut,
        finished=log.exit_code is not None,
        exit_code=log.exit_code,
        project=log.project,
    )


def _looks_right(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return stream.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


class _Log:
    """What was read so far."""

    def __init__(self) -> None:
        self.points = Points()
        self.damaged = 0
        self.cut = False
        self.name = self.project = ""
        self.exit_code: int | None = None
        self.rows = 0

    def records(self, stream: Any) -> Iterator[bytes]:
        """The whole records of the log, one after another."""
        parts: list[bytes] = []
        size = 0
        while block := stream.read(_BLOCK):
            position = _HEAD if stream.tell() <= _BLOCK else 0  # the first block begins with the file's own header
            while position + _HEAD <= len(block):
                length = int.from_bytes(block[position + 4 : position + 6], "little")
                kind = block[position + 6]
                end = position + _HEAD + length
                if kind == 0 and length == 0:  # space that was allocated and not written
                    break
                if end > len(block) or not _FULL <= kind <= _LAST or not _intact(block, position, end):
                    self.cut = len(block) < _BLOCK and end > len(block)
                    self.damaged += not self.cut
                    parts, size = [], 0
                    break  # what follows in this block can't be told apart; the next block begins anew
                if kind in (_FULL, _FIRST):
                    parts, size = [], 0
                elif not parts:  # the rest of a record whose beginning is lost
                    position = end
                    continue
                size += length
                if size <= _LARGEST:
                    parts.append(block[position + _HEAD : end])
                if kind in (_FULL, _LAST):
                    if size <= _LARGEST:
                        yield b"".join(parts)
                    parts, size = [], 0
                position = end
        self.cut = self.cut or bool(parts)

    def take(self, record: bytes) -> None:
        """Keep what `record` says of the run."""
        try:
            for number_, wire, first, last in fields(record):
                if wire != BYTES:
                    continue
                if number_ == _HISTORY:
                    self._history(record, first, last)
                elif number_ == _RUN:
                    self._run(record, first, last)
                elif number_ == _EXIT:
                    self.exit_code = next(
                        (signed(a) for n, w, a, _ in fields(record, first, last) if n == _EXIT_CODE and w == VARINT), 0
                    )
        except (ValueError, RecursionError):
            self.damaged += 1

    def _run(self, record: bytes, start: int, end: int) -> None:
        texts = {
            number_: record[first : min(last, first + 200)].decode("utf-8", "replace")
            for number_, wire, first, last in fields(record, start, end)
            if wire == BYTES and number_ in (_RUN_ID, _PROJECT, _DISPLAY_NAME)
        }
        self.project = texts.get(_PROJECT, self.project)
        self.name = texts.get(_DISPLAY_NAME) or texts.get(_RUN_ID) or self.name

    def _history(self, record: bytes, start: int, end: int) -> None:
        row: dict[str, Any] = {}
        step: int | None = None
        for number_, wire, first, last in fields(record, start, end):
            if wire == BYTES and number_ == 1:
                row.update(_item(record, first, last))
            elif wire == BYTES and number_ == 2:
                step = next((signed(a) for n, w, a, _ in fields(record, first, last) if n == 1 and w == VARINT), None)
        given, _ = number(row.get("_step"))
        step = int(given) if given is not None and abs(given) < 1 << 53 else step if step is not None else self.rows
        self.rows += 1
        time, _ = number(row.get("_timestamp"))
        for name, value in row.items():
            if name not in _OWN:
                self.points.add(name, step, time or 0.0, value)


def _item(record: bytes, start: int, end: int) -> dict[str, float]:
    """The numbers in one item of a row, by name; nested keys are joined by dots, as wandb shows them."""
    keys: list[str] = []
    text = ""
    for number_, wire, first, last in fields(record, start, end):
        if wire != BYTES:
            continue
        if number_ in (_KEY, _NESTED):
            keys.append(record[first : min(last, first + 300)].decode("utf-8", "replace"))
        elif number_ == _JSON:
            text = record[first:last].decode("utf-8", "replace")
    name = ".".join(key for key in keys if key)
    return dict(numbers(name, _loaded(text))) if name else {}


def _loaded(text: str) -> Any:
    try:
        return float(text)  # nearly every item
    except ValueError:
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _intact(block: bytes, position: int, end: int) -> bool:
    return zlib.crc32(block[position + 6 : end]) == int.from_bytes(block[position : position + 4], "little")
