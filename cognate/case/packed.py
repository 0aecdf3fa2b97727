"""A block of JSON lines → packed columns, twice: by polars, and by the standard library where that can't or isn't there.

Both give the same numbers. polars refuses a whole block for one bad line; then the plain reader takes that block over.
"""

from __future__ import annotations

import json
import math
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, cast

from cognate.case.schema import MetricsRow

TEXTS = ("optimizer",)
NUMBERS = tuple(sorted(set(MetricsRow.__annotations__) - {*TEXTS, "user", "nonfinite"}))
_WORDS = (*TEXTS, "user", "nonfinite")
_NAN = float("nan")


@dataclass
class Block:
    """Some rows by column: for each number the rows that have one (from 0) and the values, NaN where it was not finite."""

    length: int = 0
    numbers: dict[str, tuple[array[int] | range, array[float]]] = field(default_factory=dict)
    texts: dict[str, list[str | None]] = field(default_factory=dict)
    flags: dict[str, dict[int, str]] = field(default_factory=dict)  # column -> row -> "nan", "inf", "-inf"

    def put(self, name: str, row: int, value: Any) -> None:
        """Set a cell; what is no finite number is left out, or NaN where it has a flag."""
        known = isinstance(value, (int, float)) and math.isfinite(value)
        if known or row in self.flags.get(name, ()):
            where, values = self.numbers.setdefault(name, (array("I"), array("d")))
            cast("array[int]", where).append(row)
            values.append(float(value) if known else _NAN)

    def mark(self, row: int, words: Any) -> None:
        """Keep the flags of a row."""
        for name, word in words.items() if isinstance(words, dict) else ():
            if name in NUMBERS or str(name).startswith("user."):
                self.flags.setdefault(str(name), {})[row] = str(word)


def packer() -> Callable[[bytes], Block]:
    """The fastest reader of blocks that is installed."""
    return pack_fast if find_spec("polars") else pack_plainly


def pack_plainly(text: bytes) -> Block:
    """Read whole lines one by one; torn lines, junk and non-objects are passed over."""
    block = Block()
    for line in text.decode("utf-8", "replace").split("\n"):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(row, dict):
            continue
        at = block.length
        block.length += 1
        block.mark(at, row.get("nonfinite"))
        flagged = [name for name, rows in block.flags.items() if at in rows]
        user = row.get("user")
        cells = {**{name: row[name] for name in row if name in NUMBERS}}
        cells.update({f"user.{name}": value for name, value in user.items()} if isinstance(user, dict) else {})
        for name, value in {**dict.fromkeys(flagged), **cells}.items():
            block.put(name, at, value)
        for name in TEXTS:
            if isinstance(row.get(name), str):
                block.texts.setdefault(name, []).extend([None] * (at - len(block.texts[name])))
                block.texts[name].append(row[name])
    return block


def pack_fast(text: bytes) -> Block:
    """Read whole lines with polars, with a schema, so that a column that first appears in the last line is not lost."""
    import polars

    try:
        frame = _alike(text)
        if frame is None:
            schema: dict[str, Any] = dict.fromkeys(NUMBERS, polars.Float64)
            frame = polars.read_ndjson(text, schema={**schema, **dict.fromkeys(_WORDS, polars.String)})
        user = _user(frame["user"]) if "user" in frame.columns else {}
    except (polars.exceptions.PolarsError, ValueError):
        return pack_plainly(text)
    block = Block(frame.height)
    here = set(frame.columns)
    if "nonfinite" in here:
        _mark(block, frame["nonfinite"])
    for name in here.intersection(NUMBERS):
        _pack(block, name, frame[name])
    for name, series in user.items():
        _pack(block, f"user.{name}", series)
    for name in set(block.flags) - {*here, *(f"user.{one}" for one in user)}:
        for row in sorted(block.flags[name]):
            block.put(name, row, None)
    block.texts = {name: frame[name].to_list() for name in here.intersection(TEXTS) if frame[name].null_count() < frame.height}
    return block


def _alike(text: bytes) -> Any:
    """The frame of lines that all have the keys of the first one, which takes half the time; None where they don't.

    With no cell empty, one more key anywhere would show in the number of quotation marks.
    """
    import polars

    first = text[: text.find(b"\n")]
    try:
        row = json.loads(first)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or text.count(b'"') != first.count(b'"') * text.count(b"\n"):
        return None
    if set(row) - {*NUMBERS, *TEXTS, "user"} or b"\\" in first:
        return None
    user = row.get("user", {})
    if not isinstance(user, dict):
        return None
    schema: dict[str, Any] = {name: polars.Float64 if name in NUMBERS else polars.String for name in row if name != "user"}
    if user:
        schema["user"] = polars.Struct(dict.fromkeys(user, polars.Float64))
    frame = polars.read_ndjson(text, schema=schema)
    full = all(not column.null_count() for column in frame.get_columns())
    if user and full:
        full = not any(sum(column) for column in frame["user"].struct.unnest().null_count().get_columns())
    return frame if full else None


def _mark(block: Block, said: Any) -> None:
    known: dict[str, Any] = {}
    for row in said.is_not_null().arg_true().to_list():
        words = said[row]
        if words not in known:
            known[words] = json.loads(words)
        block.mark(row, known[words])


def _user(texts: Any) -> dict[str, Any]:
    """The columns of the user's own metrics, by name, from objects that polars left as text. Raises where one is no number."""
    import polars

    if texts.dtype != polars.String:
        return {field.name: texts.struct.field(field.name) for field in texts.dtype.fields}
    keys = texts.str.extract_all(r'"(?:[^"\\]|\\.)*"\s*:').explode().drop_nulls().unique().to_list()
    names = [json.loads(key.rstrip(": \t\r\n")) for key in keys]
    if not names:
        return {}
    fields = texts.str.json_decode(polars.Struct(dict.fromkeys(names, polars.Float64))).struct
    return {name: fields.field(name) for name in sorted(names)}


def _pack(block: Block, name: str, series: Any) -> None:
    """Add a column: its numbers, and NaN in the rows that carry a flag."""
    flagged = block.flags.get(name, {})
    present = series.is_not_null() & series.is_finite()
    if not block.length:
        return
    if not flagged and present.all():
        block.numbers[name] = range(block.length), array("d", series.to_list())
        return
    wanted: Iterable[int] = present.arg_true().to_list()
    if flagged:
        wanted = sorted({*wanted, *flagged})
    rows = array("I", wanted)
    if rows:
        finite = array("d", series.fill_null(_NAN).to_list())
        numbers = array("d", (finite[row] if math.isfinite(finite[row]) else _NAN for row in rows))
        block.numbers[name] = rows, numbers
