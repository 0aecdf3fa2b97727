"""Series of scalars become the rows of one run: one row a step, with what each name logged there."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import isfinite
from typing import Any
from zlib import crc32

from cognate.errors import CaseError
from cognate.observe.logs.roles import assign, words
from cognate.observe.logs.run import ForeignRun, put, put_user
from cognate.observe.logs.scalars import MOST_NAMES, Points

# A counter that goes back more often than this is no counter (the number of the batch within its epoch, say).
_MOST_RESTARTS = 12
# Columns are quick to write, but a name that is logged rarely fills one as well: 8 bytes a cell.
_MOST_CELLS = 20_000_000


class Table:
    """The points as rows: one a step, more where a name logs the same step again."""

    def __init__(self, points: Points) -> None:
        self.unit = _unit(points)
        self.steps = array("q")
        self.segments = array("q")
        self.times = array("d")  # 0 where it is not known
        # Rows that have a value, in order, and the values: names that are logged rarely cost little.
        self.columns: dict[str, tuple[Any, Any]] = {}
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
        self.steps, self.segments, self.times = (
            array("q", range(length)),
            array("q", bytes(8 * length)),
            array("d", bytes(8 * length)),
        )
        for name, series in points.series.items():
            self.columns[name] = array("q", range(len(series.values))), series.values
            if len(series.times) == length:
                self.times = series.times

    def _segment(self, points: Points, segment: int, parts: dict[str, slice]) -> None:
        axes = _axes({name: points.series[name].steps[part] for name, part in parts.items()})
        axis = _union(axes)
        place = {key: index for index, key in enumerate(axis)} if any(own is not axis for own in axes.values()) else {}
        times = array("d", bytes(8 * len(axis)))
        start = len(self.steps)
        self.steps.extend(key if isinstance(key, int) else key[0] for key in axis)
        self.segments.extend([segment] * len(axis))
        for name, own in axes.items():
            series, part = points.series[name], parts[name]
            if own is axis:
                times = series.times[part]
            if own is axis and not points.segment:
                self.columns[name] = range(len(axis)), series.values  # the usual case needs no copy
                continue
            at, values = self.columns.setdefault(name, (array("q"), array("d")))
            values.extend(series.values[part])
            if own is axis:
                at.extend(range(start, start + len(axis)))
                continue
            for key, time in zip(own, series.times[part], strict=True):
                index = place[key]
                at.append(start + index)
                times[index] = times[index] or time
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


def _axes(steps: dict[str, array[int]]) -> dict[str, list[Any]]:
    """What tells the points of each name apart: the step, or step and repetition where a name has a step twice.

    Names that are logged at the same steps share one list.
    """
    shared: dict[tuple[int, int], list[Any]] = {}
    keys = {name: (len(own), crc32(memoryview(own))) for name, own in steps.items()}
    for name, key in keys.items():
        while key in shared and steps[name] != array("q", shared[key]):  # another list of the same checksum
            key = keys[name] = (key[0], key[1] + 1)
        if key not in shared:
            shared[key] = steps[name].tolist()
    # Within a segment no step goes back.
    if any(before == after for own in shared.values() for before, after in pairwise(own)):
        shared = {key: _repeated(own) for key, own in shared.items()}
    return {name: shared[key] for name, key in keys.items()}


def _repeated(steps: list[int]) -> list[tuple[int, int]]:
    pairs: list[tuple[int, int]] = []
    for step in steps:
        again = pairs[-1][1] + 1 if pairs and pairs[-1][0] == step else 0
        pairs.append((step, again))
    return pairs


def _union(axes: dict[str, list[Any]]) -> list[Any]:
    """All of them in order; cheap in the usual case that most names are logged at the same steps."""
    longest = max(axes.values(), key=len, default=[])
    inside = set(longest)
    others = {key for axis in axes.values() if axis is not longest for key in axis if key not in inside}
    return sorted(inside | others) if others else longest


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
    elif calls and table.unit == "step" and table.steps == array("q", range(len(table.steps))):
        table.unit = "row"  # nobody gave the steps, and nothing says what the calls count
    own = {"t"} if table.columns.get(clock or "") is None else {"t", "step"}  # these the log has besides its columns
    roles = {name: f"user.{name}" if role in own else role for name, role in roles.items()}
    lost = list(errors)
    facts = {"step_unit": table.unit, "unreadable": 0, "series": len(full), **more}
    if points.left_out:
        lost.append(f"{points.left_out} points of names beyond the first {MOST_NAMES} were left out")
    if points.thinned > 1:
        facts["thinned"] = {"points": points.seen, "kept": points.count}
        lost.append(f"the log is giant: of older points one in up to {points.thinned} was kept, and all that are not finite")
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


def _times(table: Table) -> Sequence[float | None]:
    """Seconds since the first row; an array where all are known, a quarter of the size of a list."""
    first = min((time for time in table.times if time and isfinite(time)), default=0.0)
    if all(time and isfinite(time) for time in table.times):
        return array("d", (round(time - first, 3) for time in table.times))
    return [round(time - first, 3) if time and isfinite(time) else None for time in table.times]


def _dense(table: Table, roles: dict[str, str]) -> dict[str, Sequence[float | None]]:
    series: dict[str, Sequence[float | None]] = {"step": table.steps}
    if any(table.segments):
        series["segment"] = table.segments
    if any(table.times):
        series["t"] = _times(table)
    for name, (at, values) in table.columns.items():
        if len(at) == len(table.steps):
            series[roles[name]] = values
            continue
        column: list[float | None] = [None] * len(table.steps)
        for index, value in zip(at, values, strict=True):
            column[index] = value
        series[roles[name]] = column
    return series


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
