"""Numbers of a log that keeps one series a name (TensorBoard, MLflow, W&B), and how they become rows of one run.

A name whose step goes back tells of a restart or a resume: from there on everything belongs to the next segment.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs.roles import assign, words
from cognate.observe.logs.run import ForeignRun, put, put_user

# 24 bytes each. A log that holds more is thinned, so that a giant one is read in bounded memory.
MOST_POINTS = 8_000_000
MOST_NAMES = 20_000
# A counter that goes back more often than this is no counter (the number of the batch within its epoch, say).
_MOST_RESTARTS = 12
# Columns are quick to write, but a name that is logged rarely fills one as well: 8 bytes a cell.
_MOST_CELLS = 20_000_000


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
        self.thinned = 1  # of so many points of a series one is kept; what is not finite is kept whole
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
        if self.count > MOST_POINTS:
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


class Table:
    """The points as rows: one a step, more where a name logs the same step again."""

    def __init__(self, points: Points) -> None:
        self.unit = _unit(points)
        self.steps: list[int] = []
        self.segments: list[int] = []
        self.times: list[float | None] = []
        # Rows that have a value, and the values: names that are logged rarely cost little.
        self.columns: dict[str, tuple[list[int], list[float]]] = {name: ([], []) for name in points.series}
        if self.unit == "row":
            self._number(points)
            return
        parts: list[dict[str, slice]] = [{} for _ in range(points.segment + 1)]
        for name, series in points.series.items():
            for segment, part in series.parts():
                parts[segment][name] = part
        for segment, inside in enumerate(parts):
            self._segment(points, segment, inside)

    def _number(self, points: Points) -> None:
        """The steps tell nothing: the n-th values of all names make the n-th row."""
        length = max(len(series.steps) for series in points.series.values())
        self.steps, self.segments, self.times = list(range(length)), [0] * length, [None] * length
        for name, series in points.series.items():
            self.columns[name] = list(range(len(series.values))), series.values.tolist()
            if len(series.times) == length:
                self.times = list(series.times)

    def _segment(self, points: Points, segment: int, parts: dict[str, slice]) -> None:
        axes = _axes({name: points.series[name].steps[part].tolist() for name, part in parts.items()})
        axis = _union(axes)
        place = {key: index for index, key in enumerate(axis)}
        times: list[float | None] = [None] * len(axis)
        start = len(self.steps)
        self.steps.extend(key if isinstance(key, int) else key[0] for key in axis)
        self.segments.extend([segment] * len(axis))
        for name, own in axes.items():
            series, part = points.series[name], parts[name]
            where = range(len(axis)) if own == axis else [place[key] for key in own]
            at, values = self.columns[name]
            at.extend(start + index for index in where)
            values.extend(series.values[part])
            for index, time in zip(where, series.times[part], strict=True):
                times[index] = time
        self.times.extend(times)

    def count_by(self, name: str) -> bool:
        """Take the steps from the column `name`, where nearly every row has a whole number in it."""
        at, values = self.columns[name]
        whole = all(value - value == 0.0 and value == int(value) and abs(value) < 1 << 53 for value in values)
        if not whole or len(values) < 0.9 * len(self.steps) or len(set(values)) < 2:
            return False
        counts = dict(zip(at, values, strict=True))
        step, segment = int(values[0]), 0
        for index in range(len(self.steps)):
            count = int(counts.get(index, step))
            segment += count < step
            step = count
            self.steps[index], self.segments[index] = step, segment
        self.unit = "step"
        return True


def _axes(steps: dict[str, list[int]]) -> dict[str, list[Any]]:
    """What tells the points of each name apart: the step, or step and repetition where a name has a step twice."""
    if all(len(set(own)) == len(own) for own in steps.values()):
        return dict(steps)
    axes = {}
    for name, own in steps.items():
        pairs, last, again = [], None, 0
        for step in own:
            again = again + 1 if step == last else 0
            last = step
            pairs.append((step, again))
        axes[name] = pairs
    return axes


def _union(axes: dict[str, list[Any]]) -> list[Any]:
    """All of them in order; cheap in the usual case that most names are logged at the same steps."""
    longest = max(axes.values(), key=len, default=[])
    others = [axis for axis in axes.values() if axis != longest]
    return sorted(set(longest).union(*others)) if others else longest


def _unit(points: Points) -> str:
    """What the steps count: "step", "epoch", or "row" where they are no counter."""
    series = points.series.values()
    longest = max(series, key=lambda one: len(one.steps))
    still = all(min(one.steps) == max(one.steps) for one in series if len(one.steps))
    if points.segment > _MOST_RESTARTS or (still and len(longest.steps) > 1):
        return "row"
    if all("epoch" in words(name) for name in points.series):
        return "epoch"
    epochs = next((one for name, one in points.series.items() if name.rpartition("/")[2].lower() == "epoch"), None)
    if epochs is not None and len(epochs.steps) > 1 and len(epochs.steps) == len(longest.steps):
        apart = {value - step for value, step in zip(epochs.values, epochs.steps, strict=True)}
        return "epoch" if apart <= {0.0} or apart <= {1.0} else "step"
    return "step"


def run_of(
    points: Points,
    origin: str,
    title: str,
    errors: Iterable[str] = (),
    calls: bool = False,
    **more: Any,
) -> ForeignRun:
    """The run that `points` tell of. Raises CaseError where there is none.

    With `calls`, the log's own steps may count calls of its `log`; a column that counts steps of training replaces them.
    `more` are facts about the log, and `finished` and `steps` of the run.
    """
    full = {name: series for name, series in points.series.items() if len(series.steps)}
    if not full:
        raise CaseError(f"{title} logs no number of a training run: give the log of a run that reached its first step.")
    points.series = full
    table = Table(points)
    roles = assign(list(full), {name: len(series.steps) for name, series in full.items()})
    clock = next((name for name, role in roles.items() if role == "step"), None)
    if clock is not None and (calls or table.unit == "row") and table.count_by(clock):
        del table.columns[clock]
    elif calls and table.unit == "step" and table.steps == list(range(len(table.steps))):
        table.unit = "row"  # nobody gave the steps, and nothing says what the calls count
    own = {"t"} if table.columns.get(clock or "") is None else {"t", "step"}  # these the log has besides its columns
    roles = {name: f"user.{name}" if role in own else role for name, role in roles.items()}
    lost = list(errors)
    if points.left_out:
        lost.append(f"{points.left_out} points of names beyond the first {MOST_NAMES} were left out")
    if points.thinned > 1:
        lost.append(f"the log is giant: of every {points.thinned} finite points of a series one was kept")
    facts = {"step_unit": table.unit, "unreadable": 0, "series": len(full), "thinned": points.thinned, **more}
    dense = len(table.steps) * len(table.columns) <= _MOST_CELLS
    return ForeignRun(
        origin=origin,
        title=title,
        rows=[] if dense else _sparse(table, roles),
        series=_dense(table, roles) if dense else None,
        columns=roles,
        finished=bool(facts.pop("finished", False)),
        errors=lost,
        facts=facts,
    )


def _times(table: Table) -> list[float | None]:
    """Seconds since the first row."""
    first = min((time for time in table.times if time), default=0.0)
    return [round(time - first, 3) if time else None for time in table.times]


def _dense(table: Table, roles: dict[str, str]) -> dict[str, list[float | None]]:
    series: dict[str, list[float | None]] = {"step": list(table.steps)}
    if any(table.segments):
        series["segment"] = list(table.segments)
    if any(table.times):
        series["t"] = _times(table)
    for name, (at, values) in table.columns.items():
        series[roles[name]] = _placed(at, values, len(table.steps))
    return series


def _placed(at: list[int], values: list[float], length: int) -> list[float | None]:
    column: list[float | None] = [None] * length
    for index, value in zip(at, values, strict=True):
        column[index] = value
    return column


def _sparse(table: Table, roles: dict[str, str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for step, segment, time in zip(table.steps, table.segments, _times(table), strict=True):
        row: dict[str, Any] = {"step": step}
        if segment:
            row["segment"] = segment
        if time is not None:
            row["t"] = time
        rows.append(row)
    for name, (at, values) in table.columns.items():
        role = roles[name]
        for index, value in zip(at, values, strict=True):
            if role.startswith("user."):
                put_user(rows[index], name, value)
            else:
                put(rows[index], role, value)
    return rows
