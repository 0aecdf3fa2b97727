"""What the counters of a text log mean: steps of the run, steps within an epoch, epochs, or nothing but the order of lines."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

from cognate.observe.logs.points import Points


@dataclass
class Axis:
    """The step and the segment of each row; `unit`: "step", "epoch" or "row"."""

    steps: array[int]
    segments: array[int]
    unit: str
    dropped: frozenset[int] = frozenset()  # rows that another process told


def axis(points: Points) -> Axis:
    """Decide by all rows. A counter that goes back begins a segment, unless an epoch explains it."""
    counted = [row for row, step in enumerate(points.step) if step == step]
    if 2 * len(counted) >= len(points.step) and counted:
        running = _running(points, counted)
        if running is not None:
            back = sum(running[row] < running[before] for before, row in pairwise(counted))
            mixed = back > max(3, 0.1 * len(counted)) and _interleaved(running, counted)
            dropped = _laggards(running, counted) if mixed else frozenset()
            return Axis(_filled(running), _segments(running, dropped), "step", dropped)
    elif all(map(float.is_integer, points.epoch)) and all(before != here for before, here in pairwise(points.epoch)):
        return Axis(array("q", map(int, points.epoch)), _segments(points.epoch), "epoch")
    return Axis(array("q", range(1, len(points.step) + 1)), _segments(points.epoch), "row")


def _running(points: Points, counted: list[int]) -> array[float] | None:
    """The steps of the run, NaN where a row has none; None where the log counts within epochs of unknown length."""
    total = _total(points)
    if _resets(points, counted):
        if not total or any(points.epoch[row] != points.epoch[row] for row in counted):
            return None
        running = array("d", points.step)
        first = 0 if points.epoch[counted[0]] == 0 else 1
        for row in counted:
            running[row] = (int(points.epoch[row]) - first) * total + points.step[row]
        return running
    if total and all(points.epoch[row] != points.epoch[row] for row in counted):
        # No epoch is told, but the count within it reaches its end before it begins anew.
        drops = [before for before, row in pairwise(counted) if points.step[row] < points.step[before]]
        ends = sum(points.step[before] >= 0.9 * total for before in drops)
        if ends and ends >= 0.8 * len(drops):
            return None
    return points.step


def _segments(counter: array[float], dropped: frozenset[int] = frozenset()) -> array[int]:
    segments, segment, last = array("q"), 0, -math.inf
    for row, here in enumerate(counter):
        if here == here and row not in dropped:
            segment += here < last
            last = here
        segments.append(segment)
    return segments


def _filled(running: array[float]) -> array[int]:
    """A row without a step belongs to the step before it."""
    steps, last = array("q"), next(step for step in running if step == step)
    for here in running:
        last = here if here == here else last
        steps.append(int(last))
    return steps


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
    return int(value) if value == value else -1


def _interleaved(running: array[float], counted: list[int]) -> bool:
    """Whether most steps are told several times, as by processes that write into one file."""
    return len({running[row] for row in counted}) < 0.7 * len(counted)


def _laggards(running: array[float], counted: list[int]) -> frozenset[int]:
    reached, dropped = -1.0, set()
    for row in counted:
        if running[row] <= reached:
            dropped.add(row)
        reached = max(reached, running[row])
    return frozenset(dropped)
