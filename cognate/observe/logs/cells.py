"""The lines of a table of text, as numbers by column: dirty ones with care, clean ones by polars."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from cognate.observe.logs.origins import about_training
from cognate.observe.logs.run import printable
from cognate.observe.logs.table import Record
from cognate.observe.logs.text import LONGEST_LINE, Losses, lines_of

BLANK = frozenset(("", "na", "n/a", "null", "none", "-", "--", "<na>"))
_MARKS = ("<<<<<<<", "=======", ">>>>>>>", "|||||||")
_WRAPPED = re.compile(r"(?:tensor\(|array\(|np\.float\d+\()?\[?([-+.\deEinfa]{1,40})\]?(?:, [\w ]+=.{1,80})?\)?")
_DURATION = re.compile(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d(?:\.\d+)?)")


def is_number(cell: str) -> bool:
    """Whether the text is a number as programs print it; digits in groups ("1,000", "1_000") are not guessed at."""
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def seconds(text: str) -> float | None:
    """The seconds in "1:02:03" or "1 day, 1:02:03", None where that is something else."""
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        return None
    days, hours, minutes, rest = found.groups()
    return float(days or 0) * 86_400 + float(hours) * 3600 + float(minutes) * 60 + float(rest)


def wrapped(text: str) -> float | None:
    """The number in "tensor(0.5, grad_fn=…)" or "[0.5]", which scripts write that forgot `.item()`; None in anything else."""
    found = _WRAPPED.fullmatch(text)
    return float(found[1]) if found and is_number(found[1]) else None


def fields(line: str, delimiter: str) -> list[str]:
    """The cells of one line."""
    if '"' not in line:
        return line.split(delimiter)
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:
        return []


class CellParser:
    """Reads pieces of a table. A cell that is no number is counted where its column has numbers elsewhere."""

    def __init__(self, delimiter: str, names: list[str], losses: Losses, shown: Mapping[str, str] | None = None) -> None:
        self._shown = shown or {}  # better names for some columns
        self._delimiter = delimiter
        self._losses = losses
        self._header: list[str] = []
        self._names: list[str] = []
        self._timed: set[str] = set()
        self._line = 0
        self._numeric: set[str] = set()
        self._texts: Counter[str] = Counter()
        self._began = False
        self._expected = names
        self._head(list(names))

    def _head(self, names: list[str]) -> None:
        self._header = names
        unique: list[str] = []
        for name in names:
            plain = printable(self._shown.get(name, name)) or f"column {len(unique) + 1}"
            copies = sum(other == plain or other.startswith(f"{plain}.") for other in unique) if plain in unique else 0
            unique.append(f"{plain}.{copies}" if copies else plain)
        self._names = unique
        self._timed = {name for name in unique if "time" in name.lower() or "elapsed" in name.lower()}

    def records(self, piece: bytes, last: bool) -> Iterator[Record]:
        """The numbers of each line in `piece`."""
        for line, torn in lines_of(piece, last):
            self._line += 1
            record = self._record(line, torn)
            if record:
                yield record

    def _record(self, line: str, torn: bool) -> Record | None:
        if not line.strip():
            return None
        if line.startswith(_MARKS):
            self._losses.line("are marks of an unresolved merge (both versions between them are read)", self._line)
            return None
        if len(line) > LONGEST_LINE:
            self._losses.line("are longer than a megabyte", self._line)
            return None
        cells = fields(line, self._delimiter)
        if self._is_header(cells):
            return None
        if not self._began:  # what stood before the header: comments, a greeting
            return None
        if torn and len(cells) < len(self._names):
            self._losses.line("are cut off at the end", self._line)
            return None
        return self._values(cells)

    def _is_header(self, cells: list[str]) -> bool:
        if self._began and is_number(cells[0] if cells else ""):  # nearly every line
            return False
        names = [cell.strip().strip("\ufeff") for cell in cells]
        if not self._began:
            if names != self._expected and ["row", *names] != self._expected:
                return False
            self._began = True
            return True
        if names == self._header:
            self._losses.note("headers repeated where the log was continued or joined", self._line)
            return True
        if len(names) > 1 and sum(name in self._header for name in names) * 2 > len(names) and not any(map(is_number, names)):
            self._losses.note("headers with other columns in the middle of the log", self._line)
            self._head(names)
            return True
        return False

    def _values(self, cells: list[str]) -> Record | None:
        record: Record = {}
        texts = []
        for name, cell in zip(self._names, cells, strict=False):
            try:
                record[name] = float(cell)
            except ValueError:
                text = cell.strip()
                if text.lower() not in BLANK:
                    told = seconds(text) if name in self._timed else wrapped(text)
                    if told is None:
                        texts.append(name)
                    else:
                        record[name] = told
            else:
                if "_" in cell:
                    del record[name]
                    texts.append(name)
        if not record:
            if texts:
                self._losses.line("hold no number", self._line)
            return None
        extra = any(cell.strip() for cell in cells[len(self._names) :])
        if extra:
            self._losses.note("rows with cells behind the last column, which were left out", self._line)
        elif len(cells) < len(self._names):
            self._losses.note("rows with fewer cells than the header has names", self._line)
        self._numeric.update(record)
        self._texts.update(texts)
        return record

    def frame(self, piece: bytes) -> Any:
        """`piece` as a polars frame, None where it is not clean enough for that."""
        import polars as pl

        columns = len(self._names)
        lines = piece.count(b"\n")
        clean = self._began and b'"' not in piece and piece.endswith(b"\n") and b"\n\n" not in piece
        if not clean or piece.count(self._delimiter.encode()) != (columns - 1) * lines:
            return None
        try:
            raw = pl.read_csv(
                io.BytesIO(piece),
                has_header=False,
                separator=self._delimiter,
                quote_char=None,
                schema=dict.fromkeys(self._names, pl.String),
                truncate_ragged_lines=True,
            )
        except (pl.exceptions.PolarsError, ValueError):  # bytes that are no UTF-8
            return None
        text = raw.with_columns(pl.all().str.strip_chars())
        numbers = text.with_columns(pl.all().cast(pl.Float64, strict=False))
        words: dict[str, int] = {}
        for name in self._names:
            if text[name].null_count() != numbers[name].null_count():
                blank = text[name].drop_nulls().str.to_lowercase().is_in(list(BLANK)).sum()
                words[name] = numbers[name].null_count() - text[name].null_count() - int(blank)
        read = [name for name in self._names if numbers[name].null_count() < numbers.height]
        if any(words.get(name) for name in {*read, *self._numeric}):
            return None
        if words and numbers.select(pl.all_horizontal(pl.all().is_null()).any()).item():
            return None  # a line of words alone is counted
        self._line += lines
        self._numeric.update(read)
        self._texts.update(words)
        return numbers.select(read)

    def close(self) -> None:
        """Count what only the whole log can tell."""
        cells = sum(count for name, count in self._texts.items() if name in self._numeric)
        silent = [name for name, count in self._texts.items() if count and name not in self._numeric and about_training(name)]
        if silent:
            self._losses.note(f"columns left out that have no number ({', '.join(silent[:5])})", count=len(silent))
        self._losses.note("cells left out that are no numbers, in columns of numbers", count=cells)
