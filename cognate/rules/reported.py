"""What a script reported of an evaluation beside what its batches amount to: printed numbers against recomputed means."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from cognate.case.case import Case
from cognate.case.printed import PrintedSeries, printed_metrics

Row = dict[str, Any]
SUMS = ("calls", "sum", "rows", "by_rows", "counted", "by_counted", "exp", "root", "squares")

# What people make of a mean before they print it.
SHOWN: dict[str, Callable[[float], float]] = {
    "": lambda mean: mean,
    "exp": lambda mean: math.exp(min(mean, 700.0)),
    "root": lambda mean: math.sqrt(max(mean, 0.0)),
    "percent": lambda mean: 100.0 * mean,
    "rest": lambda mean: 1.0 - mean,
}


@dataclass(frozen=True)
class Reported:
    """One printed value with the evaluation that it may be about."""

    text: str
    value: float
    phase: Row
    line: str

    @property
    def digits(self) -> int:
        """Significant digits of the printed value."""
        return len(self.text.lower().partition("e")[0].replace(".", "").lstrip("+-0"))

    @property
    def tolerance(self) -> float:
        """Half a unit of the last printed digit; at least what single precision loses in a sum."""
        mantissa, _, exponent = self.text.lower().partition("e")
        places = len(mantissa.partition(".")[2]) - int(exponent or 0)
        return max(0.51 * 10.0**-places, 3e-6 * abs(self.value))

    def shows(self, number: float | None) -> bool:
        """Whether the printed value is `number`, rounded."""
        return number is not None and abs(self.value - number) <= self.tolerance


def phases(case: Case) -> list[Row]:
    """The evaluations in order; parts of one pass over a loader, which printed lines cut, are put together again."""
    whole: list[Row] = []
    for event in case.events("evaluation"):
        last = whole[-1] if whole else None
        if last and event.get("loader") and all(last.get(k) == event.get(k) for k in ("loader", "number", "object", "step")):
            whole[-1] = _joined(last, event)
        else:
            whole.append(event)
    return whole


def _joined(a: Row, b: Row) -> Row:
    first = {(v["fn"], v.get("line")): v for v in a["values"]}
    values = []
    for value in b["values"]:
        other = first.get((value["fn"], value.get("line")))
        if other and "sum" in other and "sum" in value:
            values.append(value | {key: other[key] + value[key] for key in SUMS})
    sizes = {"batches": a["batches"] + b["batches"], "rows": a["rows"] + b["rows"], "smallest": min(a["smallest"], b["smallest"])}
    return a | sizes | {"last": b["last"], "largest": max(a["largest"], b["largest"]), "values": values}


def reported(case: Case) -> Iterator[tuple[PrintedSeries, int, list[Reported]]]:
    """Series of printed validation results, each laid beside the first, second, … evaluation that its lines can be about.

    A line is about evaluations that came after the line before it in the series.
    """
    numbers = [event["n"] for event in case.events("print")]
    done = phases(case)
    for series in printed_metrics(case).values():
        if series.role not in ("val_loss", "val_metric"):
            continue
        places: dict[int, list[Reported]] = {}
        before = -1
        for value, text, order, line in zip(series.values, series.texts, series.order, series.lines, strict=True):
            at = numbers[order - 1] if order <= len(numbers) else before
            about = [phase for phase in done if before <= phase["last"] < at]
            before = at
            if value is not None and _plain(text):
                for index, phase in enumerate(about[:6]):
                    places.setdefault(index, []).append(Reported(text, value, phase, line))
        for index, points in sorted(places.items()):
            yield series, index, points


def _plain(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def means(value: Row) -> dict[str, float]:
    """The right means of one evaluation: over samples, and over scored elements."""
    found = {"samples": value["by_rows"] / value["rows"]} if value.get("rows") else {}
    return found | ({"elements": value["by_counted"] / value["counted"]} if value.get("counted") else {})
