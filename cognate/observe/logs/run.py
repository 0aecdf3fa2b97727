"""What a reader of foreign logs returns, and how numbers of any log become values with flags."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass
class ForeignRun:
    """A run that somebody else logged, in our words: as rows, or by columns where there are too many for rows.

    `series` has a column for each role ("step", "loss", "user.acc", "segment", …), all of the same length: a list or a
    polars Series of numbers, None where the log has nothing, and NaN or ±inf where it says so.
    """

    origin: str
    title: str
    rows: list[dict[str, Any]] = field(default_factory=list)  # rows of metrics.jsonl
    columns: dict[str, str] = field(default_factory=dict)  # the log's column: the role it was given
    steps: int = 0  # optimizer steps that the run made, where the log says so
    finished: bool = False
    errors: list[str] = field(default_factory=list)  # what could not be used, one line each
    facts: dict[str, Any] = field(default_factory=dict)  # what else the log says about the run
    series: Mapping[str, Sequence[float | None]] | None = None  # instead of rows
    exception: dict[str, Any] | None = None  # the crash that ended it, as in case.json, where the log holds one


def number(value: Any) -> tuple[float | None, str | None]:
    """Return the finite value and the flag: (0.5, None), (None, "nan"); (None, None) where `value` is no number."""
    if isinstance(value, bool):
        return None, None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None, None
    if not isinstance(value, (int, float)):
        return None, None
    try:
        value = float(value)
    except OverflowError:
        return None, "inf"
    if math.isfinite(value):
        return value, None
    return None, "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def put(row: dict[str, Any], key: str, value: Any) -> None:
    """Set `row[key]`, a non-finite number as null with its flag in `nonfinite`; what is no number is left out."""
    finite, flag = number(value)
    if finite is None and flag is None:
        return
    row[key] = finite
    if flag:
        row.setdefault("nonfinite", {})[key] = flag


def put_user(row: dict[str, Any], name: str, value: Any) -> None:
    """Set a metric under the log's own name; its flag is `user.NAME`."""
    finite, flag = number(value)
    if finite is None and flag is None:
        return
    row.setdefault("user", {})[name] = finite
    if flag:
        row.setdefault("nonfinite", {})[f"user.{name}"] = flag


def printable(name: str) -> str:
    """A name from a foreign log without what no text can hold or no line should: lone surrogates, control characters."""
    plain = name.strip()[:200]
    if plain.isprintable():
        return plain
    return "".join(letter if letter.isprintable() else "?" for letter in plain)
