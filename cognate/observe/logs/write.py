"""Writes the rows of a foreign run as `metrics.jsonl`; a million of them in about a second."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cognate.case.store import dumps
from cognate.observe.logs.run import ForeignRun, put, put_user

# Below it the standard library is done before polars is imported.
_FEW = 20_000
# Rows whose text is in memory at a time: 20 MB or so.
_BLOCK = 100_000
_WHOLE = ("step", "segment")


def write_metrics(run: ForeignRun, file: Path) -> int:
    """Write the rows or columns of `run` into `file`; returns the last step that it counts, 0 where it counts none.

    Raises OSError where the file cannot be written.
    """
    if run.series is None:
        file.write_text("".join(dumps(row) + "\n" for row in run.rows), encoding="utf-8", errors="replace")
        return max((int(row.get("step") or 0) for row in run.rows), default=0)
    length = len(run.series["step"])
    if length < _FEW:
        text = "".join(dumps(row) + "\n" for row in rows_of(run.series))
        file.write_text(text, encoding="utf-8", errors="replace")
    else:
        _write_columns(run.series, length, file)
    return int(max((step for step in run.series["step"] if step is not None), default=0))


def rows_of(series: Mapping[str, Sequence[float | None]]) -> Iterator[dict[str, Any]]:
    """The rows that `series` has by columns."""
    names = list(series)
    for values in zip(*series.values(), strict=True):
        row: dict[str, Any] = {}
        for name, value in zip(names, values, strict=True):
            if value is None:
                continue
            if name in _WHOLE:
                row[name] = int(value)
            elif name.startswith("user."):
                put_user(row, name[5:], value)
            else:
                put(row, name, value)
        yield row


def _write_columns(series: Mapping[str, Sequence[float | None]], length: int, file: Path) -> None:
    import polars as pl

    with file.open("wb") as stream:
        for start in range(0, length, _BLOCK):
            block = {name: values[start : start + _BLOCK] for name, values in series.items()}
            frame = pl.DataFrame(block, schema=dict.fromkeys(block, pl.Float64), strict=False)
            frame = frame.with_columns(pl.col(name).cast(pl.Int64) for name in _WHOLE if name in block)
            line = _line(frame)
            frame.select(line).write_csv(stream, include_header=False, quote_style="never")


def _line(frame: Any) -> Any:
    """The expression that makes each row of `frame` a line of JSON: a null piece is left out of the line."""
    import polars as pl

    def joined(pieces: list[Any]) -> Any:
        # Each piece begins with a comma; the first comma of a row is one too many.
        return pl.concat_str(pieces, ignore_nulls=True).str.strip_prefix(",")

    def wrapped(name: str, pieces: list[Any]) -> Any:
        inside = joined(pieces)
        return pl.when(inside != "").then(pl.concat_str([pl.lit(f',"{name}":{{'), inside, pl.lit("}")]))

    own: list[Any] = []
    user: list[Any] = []
    flags: list[Any] = []
    for name in frame.columns:
        column = pl.col(name)
        key = json.dumps(name.removeprefix("user.") if name.startswith("user.") else name, ensure_ascii=False)
        text = column.cast(pl.String)
        if name not in _WHOLE and not frame[name].is_finite().all(ignore_nulls=True):
            odd = frame[name].is_finite().not_()
            text = pl.when(odd).then(pl.lit("null")).otherwise(text)
            word = pl.when(column.is_nan()).then(pl.lit("nan")).when(column > 0).then(pl.lit("inf")).otherwise(pl.lit("-inf"))
            flag = json.dumps(name, ensure_ascii=False)
            flags.append(pl.when(odd).then(pl.concat_str([pl.lit(f',{flag}:"'), word, pl.lit('"')])))
        (user if name.startswith("user.") else own).append(pl.concat_str([pl.lit(f",{key}:"), text]))
    pieces = [*own, *([wrapped("user", user)] if user else []), *([wrapped("nonfinite", flags)] if flags else [])]
    return pl.concat_str([pl.lit("{"), joined(pieces), pl.lit("}")])
