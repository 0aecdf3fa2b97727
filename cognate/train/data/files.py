"""Readers of single files. Each yields a Record a row, unreadable rows included, so that they can be named."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cognate.errors import UsageError
from cognate.train.data.document import Record

BLOCK = 4_096  # characters of plain text that make one document: some 1,000 tokens, and small enough to hold a share of them out
CSV_FIELD = 2**31 - 1  # the csv module's own limit of 128 KiB would reject long documents


def jsonl(path: Path) -> Iterator[Record]:
    """One JSON object a line; blank lines are no rows."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                yield _parsed(f"{path}:{number}", line)


def _parsed(where: str, line: bytes) -> Record:
    try:
        row = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        return Record(where, None, "not UTF-8")
    except (ValueError, RecursionError):
        return Record(where, None, "not valid JSON")
    return _row(where, row)


def _row(where: str, row: Any) -> Record:
    if isinstance(row, dict):
        return Record(where, row)
    return Record(where, None, f"holds {type(row).__name__}, not an object with fields")


def json_file(path: Path) -> Iterator[Record]:
    """A list of objects, an object whose only list holds them, or one object a line. Raises UsageError for anything else."""
    try:
        content = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        yield from jsonl(path)
        return
    if isinstance(content, dict):
        lists = [value for value in content.values() if isinstance(value, list)]
        content = lists[0] if len(lists) == 1 else [content]
    if not isinstance(content, list):
        raise UsageError(f"{path} holds {type(content).__name__}: give a JSON list of objects, or one object a line.")
    for number, row in enumerate(content, 1):
        yield _row(f"{path}: row {number}", row)


def csv_file(path: Path) -> Iterator[Record]:
    """A header and rows, read by the csv module because it knows the line that a row ends on."""
    limit = csv.field_size_limit(CSV_FIELD)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            rows = csv.DictReader(lines, strict=True)
            while True:
                try:
                    row = next(rows)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Record(f"{path}:{rows.line_num}", None, f"not valid CSV ({error})")
                    continue
                if None in row:
                    yield Record(f"{path}:{rows.line_num}", None, "more values than the header has names")
                else:
                    yield Record(f"{path}:{rows.line_num}", row)
    finally:
        csv.field_size_limit(limit)


def parquet(path: Path) -> Iterator[Record]:
    """Rows by pyarrow, a batch at a time. Raises UsageError where the file is no parquet file."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    number = 0
    try:
        with ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield Record(f"{path}: row {number}", row)
    except (pyarrow.ArrowException, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UsageError(f"{path} cannot be read as parquet after row {number} ({reason}): write the file anew.") from error


def txt(path: Path) -> Iterator[Record]:
    """Plain text in documents of about BLOCK characters, cut only where a line ends (an empty line, if one is near)."""
    start, size = 1, 0
    block: list[str] = []
    with path.open("rb") as lines:
        for number, raw in enumerate(lines, 1):
            if not block:
                start = number
            try:
                line = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield Record(f"{path}:{number}", None, "not UTF-8")
                continue
            block.append(line)
            size += len(line)
            if size >= 2 * BLOCK or (size >= BLOCK and not line.strip()):
                yield Record(f"{path}:{start}", "".join(block).strip("\n"))
                size, block = 0, []
    if "".join(block).strip():
        yield Record(f"{path}:{start}", "".join(block).strip("\n"))


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": jsonl,
    ".json": json_file,
    ".csv": csv_file,
    ".parquet": parquet,
    ".txt": txt,
}


def read(path: Path) -> Iterator[Record]:
    """The rows of one file by its ending. Raises UsageError where the ending is unknown or the file cannot be opened."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"{path} has an ending that is not known: {', '.join(READERS)} can be read.")
    try:
        yield from reader(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}): check the file and its permissions.") from error
