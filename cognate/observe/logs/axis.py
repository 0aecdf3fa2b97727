"""What the counters of a text log mean: steps of the run, steps within an epoch, epochs, or nothing but the order of lines."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from cognate.observe.logs.points import Points


@dataclass
class Axis:
    """The step and the segment of each row; `unit`: "step", "epoch" or "row"."""

    steps: list[int]
    segments: list[int]
    unit: str
    dropped: frozenset[int] = frozenset()  # rows that another process told


def axis(points: Points) -> Axis:
    """Decide by all rows. A counter that goes back begins a segment, unless an epoch explains it."""
    counted = [row for row, step in enumerate(points.step) if step == step]
    if 2 * len(counted) >= len(points.step):
        return _stepped(points, counted)
    return _unstepped(points)


def _stepped(points: Points, counted: list[int]) -> Axis:
    total = _total(points)
    running = list(points.step)
    unit = "step"
    boundaries: set[int] = set()
    if _resets(points, counted):
        if total and all(points.epoch[row] == points.epoch[row] for row in counted):
            first = 0 if points.epoch[counted[0]] == 0 else 1
            for row in counted:
                running[row] = (int(points.epoch[row]) - first) * total + points.step[row]
        else:
            unit = "row"
    elif total and all(points.epoch[row] != points.epoch[row] for row in counted):
        # No epoch is told, but the count within it reaches its end before it begins anew.
        drops = [(before, row) for before, row in pairwise(counted) if points.step[row] < points.step[before]]
        boundaries = {row for before, row in drops if points.step[before] >= 0.9 * total}
        if boundaries and len(boundaries) >= 0.8 * len(drops):
            unit = "row"
    back = [row for before, row in pairwise(counted) if running[row] < running[before]]
    dropped: frozenset[int] = frozenset()
    if unit == "step" and len(back) > max(3, 0.1 * len(counted)) and _interleaved(running, counted):
        dropped = _laggards(running, counted)
    segments, segment, last = [], 0, -1.0
    epoch = -1.0
    starts = set()
    for row in range(len(running)):
        here = running[row]
        told = points.epoch[row]
        if unit == "row":
            if told == told:
                if told < epoch:
                    starts.add(row)
                epoch = told
        elif here == here and row not in dropped:
            if here < last:
                starts.add(row)
            last = here
        segment += row in starts
        segments.append(segment)
    if unit == "row":
        return Axis(list(range(1, len(running) + 1)), segments, unit)
    steps, last_step = [], int(next(running[row] for row in counted))
    for here in running:
        last_step = int(here) if here == here else last_step
        steps.append(last_step)
    return Axis(steps, segments, unit, dropped)


def _total(points: Points) -> float:
    """The total beside the step ("200/2983"), where nearly all rows tell the same."""
    totals = Counter(total for total in points.steps if total == total)
    if not totals:
        return 0.0
    value, times = totals.most_common(1)[0]
    return value if times >= 0.9 * sum(totals.values()) else 0.0


def _resets(points: Points, counted: list[int]) -> bool:
    """Whether the step goes back where the epoch goes on."""
    epochs = {row: _whole(points.epoch[row]) for row in counted}
    advances = [(before, row) for before, row in pairwise(counted) if epochs[row] > epochs[before] >= 0]
    back = sum(points.step[row] <= points.step[before] for before, row in advances)
    return bool(advances) and back >= 0.5 * len(advances)


def _whole(value: float) -> int:
    """The whole epoch that a count stands in; -1 where none is told."""
    return int(value) if value == value and abs(value) < 1e15 else -1


def _interleaved(running: list[float], counted: list[int]) -> bool:
    """Whether most steps are told several times, as by processes that write into one file."""
    return len({running[row] for row in counted}) < 0.7 * len(counted)


def _laggards(running: list[float], counted: list[int]) -> frozenset[int]:
    reached, dropped = -1.0, set()
    for row in counted:
        if running[row] <= reached:
            dropped.add(row)
        reached = max(reached, running[row])
    return frozenset(dropped)


def _unstepped(points: Points) -> Axis:
    known = [(row, epoch) for row, epoch in enumerate(points.epoch) if epoch == epoch]
    starts = {row for (_, before), (row, here) in pairwise(known) if here < before}
    segments, segment = [], 0
    for row in range(len(points.epoch)):
        segment += row in starts
        segments.append(segment)
    whole = len(known) == len(points.epoch) and all(epoch.is_integer() for _, epoch in known)
    if whole and all(before != here for (_, before), (_, here) in pairwise(known)):
        return Axis([int(epoch) for _, epoch in known], segments, "epoch")
    return Axis(list(range(1, len(points.epoch) + 1)), segments, "row")
