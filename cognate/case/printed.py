"""The metrics that a script printed, as series: what its user believes, to be compared with what was computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from cognate.case.case import Case
from cognate.case.line_metrics import BARE, PrintedMetric, Role, bare_role, read_line
from cognate.case.lines import clean


@dataclass
class PrintedSeries:
    """One metric as printed: values (None where NaN or infinite) and, for each, its text and where it stood."""

    name: str
    role: Role | None
    phase: str  # the tag that opened the lines, such as "finetune"; "" where none
    values: list[float | None] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    epochs: list[float | None] = field(default_factory=list)
    steps: list[int | None] = field(default_factory=list)
    observed: list[int] = field(default_factory=list)  # optimizer steps done when the line was printed
    lines: list[str] = field(default_factory=list)
    order: list[int] = field(default_factory=list)  # running number of the line among all printed ones


@lru_cache(maxsize=2)  # every rule over curves asks for the same case
def printed_metrics(case: Case) -> dict[str, PrintedSeries]:
    """The metrics in the lines that the script wrote, by name ("finetune/val_loss" under a tag); never raises."""
    found: dict[str, PrintedSeries] = {}
    for order, event in enumerate(case.events("print"), 1):
        text = event.get("text")
        if isinstance(text, str) and any(letter.isdigit() or letter in "nN" for letter in text):
            _read(found, text, _whole(event.get("step")), order)
    for series in found.values():
        _settle(series)
    return found


def printed_text(case: Case) -> list[str]:
    """All printed lines, cleaned, in order."""
    return [clean(event["text"]) for event in case.events("print") if isinstance(event.get("text"), str)]


def _whole(value: Any) -> int:
    return int(value) if isinstance(value, (int, float)) and value == value and abs(value) < 1e15 else 0


def _read(found: dict[str, PrintedSeries], text: str, observed: int, order: int) -> None:
    line = read_line(text)
    place = (line.epoch, None if line.step is None else _whole(line.step), observed, line.text, order)
    for metric in line.metrics:
        _append(found, metric, line.phase, place)


def _append(
    found: dict[str, PrintedSeries],
    metric: PrintedMetric,
    phase: str,
    place: tuple[float | None, int | None, int, str, int],
) -> None:
    key = f"{phase}/{metric.name}" if phase else metric.name
    series = found.setdefault(key, PrintedSeries(metric.name, metric.role, phase))
    epoch, step, observed, text, order = place
    series.values.append(metric.value)
    series.texts.append(metric.text)
    series.epochs.append(epoch)
    series.steps.append(step)
    series.observed.append(observed)
    series.lines.append(text)
    series.order.append(order)


def _settle(series: PrintedSeries) -> None:
    """Take back the role of what turns out to be a count or an accuracy under a bare "train" or "val"."""
    if series.name in BARE:
        counts = all(text.lstrip("+-").replace("_", "").isdigit() for text in series.texts)
        series.role = bare_role(series.name, series.values, counts)
