"""`metrics.jsonl` as a table: rows for those who walk, columns for those who ask for one, the same answers for both.

A small file is a list of dicts. A large one would cost a gigabyte so; it is read in blocks into packed columns, each with
the rows that have a value: about twelve bytes a number, whatever the log leaves out.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

from cognate.case.store import read_rows

if TYPE_CHECKING:
    from cognate.case.packed import Block
    from cognate.case.schema import MetricsRow as Row

# Below this a list of dicts costs less than importing a parser of columns: about twenty thousand rows.
LARGE = 4 << 20
BLOCK = 16 << 20
# Whole numbers and switches come back from packed columns as what they were.
WHOLE = frozenset({"step", "segment", "backwards", "tensors", "unchanged_tensors"})
SWITCHES = frozenset({"clip_value", "half_precision"})


class Rows(list["Row"]):
    """The rows of a small run, with the questions of a table."""

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns with at least one cell or flag, as they appear; a metric by the user's own name is "user.NAME"."""
        found: dict[str, None] = {}
        for row in self:
            found.update(dict.fromkeys([*row, *(row.get("nonfinite") or ())]))
            found.update(dict.fromkeys(f"user.{name}" for name in row.get("user") or ()))
        return tuple(name for name in found if name not in ("user", "nonfinite"))

    def has(self, name: str) -> bool:
        """Whether any row has the column `name`, as a value, a null or a flag."""
        return any(name in row or name in (row.get("nonfinite") or ()) for row in self)

    def take(self, name: str) -> tuple[Sequence[int], list[float | None]]:
        """Numbers of the rows that have a value of `name`, and the values; None is a value that was not finite."""
        where: list[int] = []
        values: list[float | None] = []
        user = name[5:] if name.startswith("user.") else None
        for index, row in enumerate(self):
            cells = cast("dict[str, Any]", row if user is None else row.get("user") or {})
            value = cells.get(user or name)
            if value is None and name not in (row.get("nonfinite") or ()):
                continue
            where.append(index)
            values.append(float(value) if isinstance(value, (int, float)) else None)
        return where, values

    def texts(self, name: str) -> list[Any] | None:
        """What each row says under `name`, or None where no row says anything."""
        found = [cast("dict[str, Any]", row).get(name) for row in self]
        return found if any(one is not None for one in found) else None

    def flag(self, index: int, name: str) -> str:
        """The word for a value that was not finite: "nan", "inf", "-inf", or "" where it is not known."""
        return str((self[index].get("nonfinite") or {}).get(name) or "")


class Columns(Sequence["Row"]):
    """The rows of a large run, packed by column. A null without a flag counts as absent."""

    def __init__(self) -> None:
        self._length = 0
        self._where: dict[str, array[int] | range] = {}  # a range where no row is left out
        self._values: dict[str, array[float]] = {}
        self._texts: dict[str, list[str | None]] = {}
        self._flags: dict[str, dict[int, str]] = {}

    def append(self, block: Block) -> None:
        """Add the rows of `block` behind the others."""
        start = self._length
        self._length += block.length
        for name, words in block.flags.items():
            self._flags.setdefault(name, {}).update((start + row, word) for row, word in words.items())
        for name, (rows, values) in block.numbers.items():
            self._where[name] = _joined(self._where.get(name, range(start, start)), rows, start)
            self._values.setdefault(name, array("d")).extend(values)
        for name, said in block.texts.items():
            self._texts.setdefault(name, [None] * start).extend(said)
        for column in self._texts.values():
            column.extend([None] * (self._length - len(column)))

    @property
    def names(self) -> tuple[str, ...]:
        """As `Rows.names`, sorted."""
        return tuple(sorted({*self._where, *self._texts, *self._flags}))

    def has(self, name: str) -> bool:
        """As `Rows.has`."""
        if name in ("user", "nonfinite"):
            return bool(self._flags) if name == "nonfinite" else any(one.startswith("user.") for one in self._where)
        return name in self._where or name in self._texts or name in self._flags

    def take(self, name: str) -> tuple[Sequence[int], list[float | None]]:
        """As `Rows.take`."""
        where, values = self._where.get(name, array("I")), self._values.get(name, array("d"))
        if not self._flags.get(name):
            return where, cast("list[float | None]", values.tolist())
        return where, [value if value == value else None for value in values]

    def texts(self, name: str) -> list[Any] | None:
        """As `Rows.texts`."""
        if name in self._where:
            column: list[Any] = [None] * self._length
            for index, value in zip(self._where[name], self._values[name], strict=True):
                column[index] = _cell(name, value)
            return column
        return self._texts.get(name)

    def flag(self, index: int, name: str) -> str:
        """As `Rows.flag`."""
        return self._flags.get(name, {}).get(index, "")

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            low, high, stride = index.indices(self._length)
            if stride == 1:
                return list(self._rows(low, max(low, high)))
            return [self[at] for at in range(low, high, stride)]
        at = index + self._length if index < 0 else index
        if not 0 <= at < self._length:
            raise IndexError("no such row")
        return next(self._rows(at, at + 1))

    def __iter__(self) -> Iterator[Row]:
        return self._rows(0, self._length)

    def __reversed__(self) -> Iterator[Row]:
        return (self[at] for at in range(self._length - 1, -1, -1))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(a == b for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def _rows(self, low: int, high: int, block: int = 2048) -> Iterator[Row]:
        """Rows put together again, a block at a time: one search a column and block, not one a cell."""
        for start in range(low, high, block):
            end = min(high, start + block)
            rows: list[dict[str, Any]] = [{} for _ in range(start, end)]
            for name, where in self._where.items():
                flags = self._flags.get(name, {})
                for at in range(bisect_left(where, start), bisect_left(where, end)):
                    index, value = where[at], self._values[name][at]
                    cell = None if value != value else _cell(name, value)
                    row = rows[index - start]
                    if name.startswith("user."):
                        row.setdefault("user", {})[name[5:]] = cell
                    else:
                        row[name] = cell
                    if cell is None and index in flags:
                        row.setdefault("nonfinite", {})[name] = flags[index]
            for name, column in self._texts.items():
                for index in range(start, end):
                    if column[index] is not None:
                        rows[index - start][name] = column[index]
            yield from cast("list[Row]", rows)


Table = Rows | Columns


def _joined(before: array[int] | range, rows: array[int] | range, start: int) -> array[int] | range:
    """Numbers of rows, followed by those of a block that begins at `start`."""
    if isinstance(before, range) and isinstance(rows, range) and before.stop == start:
        return range(before.start, start + rows.stop)
    joined = array("I", before) if isinstance(before, range) else before
    joined.extend(array("I", [start + row for row in rows]))
    return joined


def _cell(name: str, value: float) -> Any:
    if name in WHOLE and value.is_integer():
        return int(value)
    return bool(value) if name in SWITCHES else value


def read_table(file: Path, large: int = LARGE, block: int = BLOCK, pack: Callable[[bytes], Block] | None = None) -> Table:
    """Read `metrics.jsonl`; torn and foreign lines are passed over, a file that is not there is empty.

    From `large` bytes on it is read into columns, `block` bytes at a time, by `pack` (else the fastest reader there is).
    """
    try:
        size = file.stat().st_size
    except OSError:
        return Rows()
    if size < large:
        return Rows(cast("Iterable[Row]", read_rows(file)))
    from cognate.case.packed import packer

    table, pack = Columns(), pack or packer()
    for text in _blocks(file, block):
        table.append(pack(text))
    return table


def _blocks(file: Path, size: int) -> Iterator[bytes]:
    """Whole lines, about `size` bytes of them at a time. What stands behind the last newline is passed over if it is torn."""
    with file.open("rb") as stream:
        rest = b""
        while read := stream.read(size):
            text = rest + read
            cut = text.rfind(b"\n") + 1
            if not cut and len(text) > max(4 * size, 1 << 20):  # one endless line is no row of ours
                rest = b""
                continue
            rest = text[cut:]
            if cut:
                yield text[:cut]
        if rest:
            yield rest
