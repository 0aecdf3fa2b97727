"""The numbers in a JSON value of a log, by name: nested keys are joined by dots, as the loggers' own pages show them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from cognate.observe.logs.run import number

# How loggers write what JSON has no number for.
_WORDS = {"NaN": math.nan, "nan": math.nan, "Infinity": math.inf, "inf": math.inf, "-Infinity": -math.inf, "-inf": -math.inf}
_DEEPEST = 5
_LONGEST_NAME = 300


def numbers(name: str, value: Any, depth: int = 0) -> Iterator[tuple[str, float]]:
    """Each number in `value` with its name, non-finite ones included; texts, lists, pictures and tables are none."""
    if isinstance(value, dict):
        # A dictionary with a type is a picture, a histogram or a table.
        if "_type" not in value and depth < _DEEPEST:
            for key, inner in value.items():
                yield from numbers(f"{name}.{key}" if name else str(key), inner, depth + 1)
        return
    if isinstance(value, str):
        value = _WORDS.get(value)
    finite, flag = number(value)
    if finite is not None:
        yield name[:_LONGEST_NAME], finite
    elif flag is not None:
        yield name[:_LONGEST_NAME], math.nan if flag == "nan" else float(flag)
