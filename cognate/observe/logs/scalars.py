"""The numbers of a log that keeps one series a name: TensorBoard, W&B, MLflow, Trackio, ClearML.

A name whose step goes back tells of a restart or a resume: from there on everything belongs to the next segment.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise

# 24 bytes each. A log that holds more is thinned, so that a giant one is read in bounded memory.
MOST_POINTS = 8_000_000
MOST_NAMES = 20_000


class Series:
    """The points of one name, in the order in which they were logged."""

    __slots__ = ("cuts", "last", "segment", "steps", "times", "values")

    def __init__(self) -> None:
        self.steps = array("q")
        self.times = array("d")  # seconds, on whatever clock the log uses
        self.values = array("d")
        self.last = -(1 << 63)  # the step of the newest point
        self.segment = 0
        self.cuts = [(0, 0)]  # (index of the first point, segment)

    def parts(self) -> Iterable[tuple[int, slice]]:
        """Each segment that it has points in, and where they are."""
        bounds = [*self.cuts, (len(self.steps), 0)]
        return [(segment, slice(low, high)) for (low, segment), (high, _) in pairwise(bounds) if high > low]


class Points:
    """Every series of a run."""

    def __init__(self) -> None:
        self.series: dict[str, Series] = {}
        self.segment = 0
        self.count = 0
        self.seen = 0  # points of the log, thinned out or not
        self.thinned = 1  # of so many older points of a series one was kept at least; what is not finite is kept whole
        self.left_out = 0  # points of names beyond the limit

    def of(self, name: str) -> Series | None:
        """The series called `name`, new where it has none yet; None where there are too many."""
        found = self.series.get(name)
        if found is None and len(self.series) < MOST_NAMES:
            found = self.series[name] = Series()
        return found

    def goes_back(self, series: Series, step: int, index: int) -> None:
        """The point at `index` of `series` has a step before its last one, or comes after another's that had."""
        if step < series.last and series.segment == self.segment:
            self.segment += 1
        series.segment = self.segment
        series.cuts.append((index, self.segment))

    def add(self, name: str, step: int, time: float, value: float) -> None:
        """Append one point."""
        series = self.of(name)
        if series is None:
            self.left_out += 1
            return
        if step < series.last or series.segment != self.segment:
            self.goes_back(series, step, len(series.steps))
        series.last = step
        series.steps.append(step)
        series.times.append(time)
        series.values.append(value)
        self.added(1)

    def added(self, count: int) -> None:
        """Count points, and thin where there are too many."""
        self.count += count
        self.seen += count
        before = self.count + 1
        while MOST_POINTS < self.count < before:
            before = self.count
            self._thin()

    def _thin(self) -> None:
        """Keep every second finite point of the longer series, the newest ones included."""
        self.thinned *= 2
        for series in self.series.values():
            size = len(series.steps)
            if size < 1000:
                continue
            kept = [i for i, value in enumerate(series.values) if (size - i) % 2 == 1 or value - value != 0.0]
            place = 0
            cuts = []
            for index, segment in series.cuts:
                while place < len(kept) and kept[place] < index:
                    place += 1
                cuts.append((place, segment))
            series.steps = array("q", [series.steps[i] for i in kept])
            series.times = array("d", [series.times[i] for i in kept])
            series.values = array("d", [series.values[i] for i in kept])
            series.cuts = cuts
        self.count = sum(len(series.steps) for series in self.series.values())
