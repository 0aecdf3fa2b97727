"""What all readers of text logs share: a format gives a function from a line to what it tells, the rest is here."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from cognate.case.line_metrics import BARE as SPLITS
from cognate.case.line_metrics import bare_role
from cognate.errors import CaseError
from cognate.observe.logs.axis import Axis, axis
from cognate.observe.logs.beside import settings_in, title_of
from cognate.observe.logs.endings import Endings, untagged
from cognate.observe.logs.points import BARE, Points, Series, Told
from cognate.observe.logs.roles import assign, nature
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.stream import Lines, head

Parse = Callable[[str], Told | None]
_SUFFIXES = ("*.log", "*.txt", "*.out", "*.err", "*.stdout", "*.stderr", "*.output", "nohup*", "stdout*", "log*")
_MOST_FILES = 64  # of a folder that are looked into


def find_text(path: Path, fits: Callable[[Sequence[str]], bool]) -> Path | None:
    """The text log that `path` is, or the largest one in the folder, whose first and last 64 KiB `fits` accepts."""
    if path.is_file():
        return path if fits(head(path)) else None
    if not path.is_dir():
        return None
    files = {file for pattern in _SUFFIXES for file in path.glob(pattern) if file.is_file()}
    ordered = sorted(files, key=lambda file: (-file.stat().st_size, file.name))[:_MOST_FILES]
    return next((file for file in ordered if fits(head(file))), None)


def signature(pattern: re.Pattern[str], least: int = 2) -> Callable[[Sequence[str]], bool]:
    """A test whether `least` lines match; one is enough where a log has hardly any other line."""

    def fits(lines: Sequence[str]) -> bool:
        found = 0
        for line in lines:
            found += bool(pattern.search(line))
            if found >= least:
                return True
        return found > 0 and len(lines) <= 10

    return fits


class TextLog:
    """One log being read: give it lines by `read`, then ask for the `run`."""

    def __init__(self, file: Path, origin: str, parse: Parse) -> None:
        self.file, self.origin, self.parse = file, origin, parse
        self.points = Points()
        self.endings = Endings()
        self.ranks: Counter[str] = Counter()
        self._rank: str | None = None
        self.settings = ""  # the first line that shows the arguments of the script
        self.cut = 0

    def read(self) -> None:
        """Read the whole file."""
        lines = Lines(self.file)
        parse, add, endings = self.parse, self.points.add, self.endings
        had_alert = False
        for line in lines:
            if endings.open:
                endings.see(line)
                continue
            if line[:1] in "[( rR":
                rank, line = untagged(line)
                if rank and self._other(rank, line):
                    continue
            told = parse(line)
            if told is not None:
                if had_alert and told.values:
                    endings.went_on()
                    had_alert = False
                add(told)
            if lines.alert and (told is None or not told.values or "topping" in line):
                endings.see(line)
                had_alert = True
            if told is None and "Namespace(" in line:
                self.settings = self.settings or line
        self.cut = lines.cut

    def _other(self, rank: str, line: str) -> bool:
        """Whether another rank's metrics are told: one rank's are read."""
        if rank != self._rank:
            told = self.parse(line)
            if told is not None and told.values:
                self.ranks[rank] += 1
                if self._rank is not None:
                    return True
                self._rank = rank
        return False

    def run(self, facts: dict[str, Any] | None = None, once: bool = True) -> ForeignRun:
        """The run that was read. With `once`, a lone value beside longer series is told as a fact instead.

        Raises CaseError where the log holds no series.
        """
        points, endings = self.points, self.endings
        singles = _single(points) if once else {}
        points.settle()
        if not points.series:
            raise CaseError(f"{self.file} tells no metric of training that can be read; give the log that holds its loss.")
        counts = {name: len(series.at) for name, series in points.series.items()}
        spelled = {name: spelling(name, points) for name in counts}
        assigned = assign(list(spelled.values()), {spelled[name]: count for name, count in counts.items()})
        places = axis(points)
        columns = {name: _role(name, assigned[spelled[name]], points) for name in counts}
        series = _columns(points, places, columns)
        total, reached = _planned(points, places), max(places.steps, default=0)
        planned = int(points.epochs) if places.unit == "epoch" else total
        # Epochs are counted from 0 or from 1.
        made = reached + (places.unit == "epoch" and 0 in places.steps)
        finished = endings.finished or 0 < planned <= made
        exception = endings.exception
        log = {
            "step_unit": places.unit,
            "unreadable": self.cut,
            "segments": max(places.segments, default=0) + 1,
            **({"max_steps": total} if total else {}),
            **({"max_epochs": int(points.epochs)} if points.epochs else {}),
            **({"training": kind} if (kind := nature(list(counts))) else {}),
            **({"last_values": singles} if singles else {}),
            **({"ranks": len(self.ranks)} if len(self.ranks) > 1 else {}),
            **({"told_again": points.again + len(places.dropped)} if points.again or places.dropped else {}),
            **endings.facts(),
            **settings_in(self.settings),
            **(facts or {}),
        }
        return ForeignRun(
            origin=self.origin,
            title=title_of(self.file),
            columns=columns,
            steps=reached if places.unit == "step" else 0,
            finished=finished and exception is None and not endings.killed,
            errors=self._errors(),
            facts=log,
            series=series,
            exception=exception,
        )

    def _errors(self) -> list[str]:
        points = self.points
        said = [
            (self.cut, "lines were longer than 4,096 characters and read in part"),
            (points.thinned, "rows were left out, because the log has more than can be kept; extremes and NaN were kept"),
            (points.nameless, "values belong to more than 400 different names and were left out"),
        ]
        return [f"{count:,} {what}" for count, what in said if count]


def read_text(file: Path, origin: str, parse: Parse) -> ForeignRun:
    """Read a log whose lines `parse` understands. Raises CaseError where it tells no metric."""
    log = TextLog(file, origin, parse)
    log.read()
    return log.run()


def number(text: str) -> float | None:
    """The number in `text`, or None."""
    try:
        return float(text)
    except ValueError:
        return None


def spelling(name: str, points: Points) -> str:
    """The name by which a role is found: "norm" is the gradient's, "val" a loss where its values are not an accuracy's."""
    if name in ("norm", "train_norm") and "grad_norm" not in points.series:
        return "grad_norm"  # beside a loss it is the gradient's, in every script that prints one
    if name not in SPLITS:
        return name
    values = points.series[name].values
    role = bare_role(name, values, all(value.is_integer() for value in values))
    kind = {None: "count", "train_loss": "loss", "val_loss": "loss"}.get(role, "accuracy")
    return f"{name}_{kind}" if f"{name}_{kind}" not in points.series else name


def _role(name: str, role: str, points: Points) -> str:
    if role in ("step", "epoch"):
        return f"user.{name}"  # the counters of the lines are the axis
    if role == "t":
        values = points.series[name].values
        rising = all(before <= here for before, here in pairwise(values))
        return role if rising and len(values) > 2 else f"user.{name}"
    return f"user.{name}" if role.startswith("user.") else role


def _single(points: Points) -> dict[str, float]:
    """Take out the series of one value without a counter beside longer ones: settings, and results at the end."""
    longest = max((len(series.at) for series in points.series.values()), default=0)
    lone = [key for key, series in points.series.items() if len(series.at) == 1 and key.endswith(BARE)] if longest > 2 else []
    return {key.removesuffix(BARE): points.series.pop(key).values[0] for key in lone}


def _planned(points: Points, places: Axis) -> int:
    """The planned last step; 0 where the log does not say. The total beside a step is the run's, or that of an epoch."""
    known = [total for total in points.steps if total == total]
    if not known or places.unit != "step":
        return 0
    last = int(known[-1])
    epochs = {int(epoch) for epoch in points.epoch if epoch == epoch}
    if not epochs or (len(epochs) > 1 and max(places.steps) <= last):
        return last
    return int(points.epochs) * last


def _columns(points: Points, places: Axis, roles: dict[str, str]) -> dict[str, Sequence[Any]]:
    """The columns of metrics.jsonl: arrays where every row has a value, which a long log's memory needs, else lists with None."""
    told = bytearray(len(points))
    for series in points.series.values():
        for row in series.at:
            told[row] = 1
    for row in places.dropped:
        told[row] = 0
    whole = all(told)
    rows: Sequence[int] = range(len(points)) if whole else [row for row, one in enumerate(told) if one]
    place = None if whole else {row: index for index, row in enumerate(rows)}
    columns: dict[str, Sequence[Any]] = {"step": places.steps if whole else [places.steps[row] for row in rows]}
    if any(places.segments):
        columns["segment"] = [places.segments[row] or None for row in rows]
    known = sum(epoch == epoch for epoch in points.epoch)
    if known:
        dense = whole and known == len(points)
        columns["epoch"] = points.epoch if dense else [None if (e := points.epoch[row]) != e else e for row in rows]
    for name, role in roles.items():
        columns[role] = _column(points.series[name], place, len(rows))
    return columns


def _column(series: Series, place: Mapping[int, int] | None, length: int) -> Sequence[Any]:
    if place is None and len(series.at) == length:
        return series.values
    column: list[Any] = [None] * length
    for row, value in zip(series.at, series.values, strict=True):
        index = row if place is None else place.get(row)
        if index is not None:
            column[index] = value
    return column
