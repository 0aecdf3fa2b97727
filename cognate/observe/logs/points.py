"""The points that a text log told, by column: merged where lines tell of one step, thinned where there are too many."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

MOST = 1_000_000  # rows that are kept
_MOST_NAMES = 400  # series: a log with more names is not understood
_LARGEST = 1e15  # counters are whole numbers that a float holds exactly
BARE = "\0"  # at the end of a name: its lines told no counter
ABSENT = math.nan  # of counters, which are never NaN themselves


class Told(NamedTuple):
    """What one line tells: values by the log's own names, and its counters with their totals."""

    values: list[tuple[str, float]]
    step: float | None = None
    steps: float | None = None  # of the run or of the epoch: the other lines show which
    epoch: float | None = None
    epochs: float | None = None


@dataclass
class Series:
    """Values of one name and the rows that they belong to, rising."""

    at: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))


class Points:
    """Rows as they come; `axis` says later what their counters mean."""

    def __init__(self, most: int = MOST) -> None:
        self.step = array("d")
        self.steps = array("d")
        self.epoch = array("d")
        self.epochs = 0.0
        self.series: dict[str, Series] = {}
        self.again = 0  # lines that told a step and a name once more: another process's, or a repeat
        self.thinned = 0  # rows that were left out because there were too many
        self.nameless = 0  # values of more names than are kept
        self._most = most
        self._header: float | None = None  # the epoch of a heading such as "Epoch 3/10", which the lines below it belong to
        self._fresh = False

    def __len__(self) -> int:
        return len(self.step)

    def add(self, told: Told) -> None:
        """Add what a line tells, to the last row where both tell of the same moment."""
        values, step, steps, epoch, epochs = told
        if not (abs(step or 0) < _LARGEST and abs(epoch or 0) < _LARGEST and abs(steps or 0) < _LARGEST > abs(epochs or 0)):
            return  # no counter of anything: the line is damaged
        if epochs is not None and epochs > self.epochs:
            self.epochs = epochs
        if not values:
            if epoch is not None and step is None:
                self._header, self._fresh = epoch, True
            return
        if step is None and epoch is None:
            # In a log that counts its losses, one without a counter is another series: a mean, or a validation.
            values = [(name + BARE, value) for name, value in values]
        if epoch is None:
            epoch = self._header
        if self._joins(step, epoch, values):
            self._fill(step, steps, epoch)
        else:
            if len(self.step) >= self._most:
                self._thin()
            self.step.append(ABSENT if step is None else step)
            self.steps.append(ABSENT if steps is None else steps)
            self.epoch.append(ABSENT if epoch is None else epoch)
        self._fresh = False
        row = len(self.step) - 1
        for name, value in values:
            series = self.series.get(name)
            if series is None:
                if len(self.series) >= _MOST_NAMES:
                    self.nameless += 1
                    continue
                series = self.series[name] = Series()
            if series.at and series.at[-1] == row:
                self.again += 1
            else:
                series.at.append(row)
                series.values.append(value)

    def settle(self) -> None:
        """After the last row: a name whose values never had a counter is just a name; beside one that has, it is "NAME alone"."""
        for key in [key for key in self.series if key.endswith(BARE)]:
            name = key.removesuffix(BARE)
            series = self.series.pop(key)
            if name in self.series and len(self.series[name].at) < 3 < len(series.at):
                self.series[f"{name} alone"], self.series[name] = self.series[name], series
            else:
                self.series[f"{name} alone" if name in self.series else name] = series

    def _joins(self, step: float | None, epoch: float | None, values: Iterable[tuple[str, float]]) -> bool:
        row = len(self.step) - 1
        if row < 0 or self._fresh:
            return False
        if step is not None and step != self.step[row]:
            return False
        before = self.epoch[row]
        if epoch is not None and before == before and epoch != before and (step is not None or int(epoch) != int(before)):
            return False
        if step is not None:
            return True
        series = self.series
        return not any(name in series and series[name].at[-1] == row for name, _ in values)

    def _fill(self, step: float | None, steps: float | None, epoch: float | None) -> None:
        for column, value in ((self.step, step), (self.steps, steps), (self.epoch, epoch)):
            if value is not None and column[-1] != column[-1]:
                column[-1] = value

    def _thin(self) -> None:
        """Keep half of the rows: of each four the smallest and largest of the densest series, and what rare series hold.

        What is not finite counts as largest, so no episode of NaN is lost.
        """
        total = len(self.step)
        dense = max(self.series.values(), key=lambda series: len(series.at))
        keep = bytearray(total)
        keep[0] = keep[-1] = 1
        at, values = dense.at, dense.values
        for start in range(0, len(at), 4):
            group = values[start : start + 4]
            heights = [value if math.isfinite(value) else math.inf for value in group]
            keep[at[start + heights.index(min(heights))]] = 1
            keep[at[start + heights.index(max(heights))]] = 1
        rare = sorted(
            (series for series in self.series.values() if len(series.at) * 8 < total), key=lambda series: len(series.at)
        )
        room = total // 8
        for series in sorted(rare, key=lambda series: len(series.at)):
            room -= len(series.at)
            if room < 0:
                break
            for row in series.at:
                keep[row] = 1
        kept = [row for row in range(total) if keep[row]]
        place = dict(zip(kept, range(len(kept)), strict=True))
        self.step, self.steps, self.epoch = (array("d", [c[row] for row in kept]) for c in (self.step, self.steps, self.epoch))
        for series in self.series.values():
            pairs = [(place[row], value) for row, value in zip(series.at, series.values, strict=True) if keep[row]]
            series.at = array("q", [row for row, _ in pairs])
            series.values = array("d", [value for _, value in pairs])
        self.thinned += total - len(kept)
