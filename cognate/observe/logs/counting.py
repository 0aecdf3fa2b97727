"""What a log counts, where it starts again, and which of its lines tell of the same moment.

A log may put training and validation of one step on two lines, write an epoch's mean after the next step, count batches
from zero in every epoch, or hold two runs one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Counter = Sequence["float | None"]

# How many lines may come after a line of a later step and still belong before it: means of an epoch, a last validation.
_LATE = 3
# Lines of one epoch that repeat each other's columns: above this share the log has several lines an epoch.
_REPEATS = 0.2


@dataclass(frozen=True)
class Plan:
    """Where each line of a log goes: `target` has a row number for each line, `steps` and `segments` a value for each row."""

    unit: str  # what `steps` counts: "step", "epoch" or "row"
    target: Sequence[int]
    steps: Sequence[int]
    segments: Sequence[int]

    @property
    def plain(self) -> bool:
        """Every line is its own row, in order."""
        lines = range(len(self.steps))
        return self.target == lines or self.target == list(lines)


def plan(step: Counter | None, epoch: Counter | None, masks: Sequence[int]) -> Plan:
    """Count the lines of a log by `step` where that can be, else by `epoch`, else by themselves.

    `masks` has a bit for each column that a line has a value in, without those that every line has: they say nothing
    about which lines belong together, and a line that has no others stands alone.
    """
    if step is not None and _counts(step, epoch):
        return _rows("step", _whole(step), masks)
    if epoch is not None and _integers(epoch):
        at = _whole(epoch)
        by_epoch = _rows("epoch", at, masks)
        repeats = sum(now == before for before, now in zip(by_epoch.steps, by_epoch.steps[1:], strict=False))
        if repeats <= max(1, _REPEATS * len(by_epoch.steps)):
            return by_epoch
    segments = _segments(list(epoch), masks) if epoch is not None else [0] * len(masks)
    return Plan("row", range(len(masks)), range(len(masks)), segments)


def _counts(step: Counter, epoch: Counter | None) -> bool:
    """Whether `step` counts the steps of the run, rather than those of an epoch, and is no setting repeated on each line."""
    known = [value for value in step if value is not None]
    if not _integers(step) or 2 * len(known) < len(step):
        return False
    if len(known) > _LATE and min(known) == max(known):
        return False
    back = [index for index in range(1, len(known)) if known[index] < known[index - 1]]
    if not back:
        return True
    if epoch is not None and len(known) == len(step):
        ahead = sum(_later(epoch[index - 1], epoch[index]) for index in back)
        return 2 * ahead <= len(back)
    # No epochs beside it: the same count again and again is an epoch's all the same.
    lengths = [after - before for before, after in zip([0, *back], back, strict=False)]
    return len(back) < 3 or max(lengths) - min(lengths) > 1


def _later(before: float | None, now: float | None) -> bool:
    return before is not None and now is not None and now > before


def _integers(values: Counter) -> bool:
    known = [value for value in values if value is not None]
    return bool(known) and all(math.isfinite(value) and value == int(value) and abs(value) < 2**53 for value in known)


def _whole(values: Counter) -> list[int]:
    """The counts as integers; where a line has none it belongs to the line before it."""
    counts: list[int] = []
    at = next((int(value) for value in values if value is not None), 0)
    for value in values:
        at = at if value is None else int(value)
        counts.append(at)
    return counts


def _rows(unit: str, at: list[int], masks: Sequence[int]) -> Plan:
    segments = _segments(at, masks)
    order = range(len(at))
    if any(at[line] < at[line - 1] and segments[line] == segments[line - 1] for line in range(1, len(at))):
        order = sorted(order, key=lambda line: (segments[line], at[line]))  # type: ignore[assignment]
    target = [0] * len(at)
    steps: list[int] = []
    kept: list[int] = []
    extra = taken = 0  # restarts that only a repeated epoch tells of; the columns that the current row has
    for line in order:
        segment = segments[line] + extra
        joins = bool(steps) and steps[-1] == at[line] and kept[-1] == segment
        if joins and taken and masks[line] and not taken & masks[line]:
            taken |= masks[line]
        else:
            if joins and unit == "epoch":
                extra += 1
            taken = masks[line]
            steps.append(at[line])
            kept.append(segments[line] + extra)
        target[line] = len(steps) - 1
    return Plan(unit, target, steps, kept)


def _segments(at: Sequence[float | None], masks: Sequence[int]) -> list[int]:
    """A number for each line that grows where the counter starts again."""
    segments: list[int] = []
    segment, peak = 0, -math.inf
    for line, value in enumerate(at):
        if value is not None and math.isfinite(value):
            if value < peak and not _is_late(at, masks, line, peak):
                segment += 1
                peak = value
            peak = max(peak, value)
        segments.append(segment)
    return segments


def _is_late(at: Sequence[float | None], masks: Sequence[int], line: int, peak: float) -> bool:
    """Whether a line that goes back only tells something else of an earlier step, and the run goes on behind it."""
    if masks[line] & masks[line - 1] or not (masks[line] and masks[line - 1]):
        return False
    following = [value for value in at[line + 1 : line + 1 + _LATE] if value is not None]
    return not following or any(value >= peak for value in following)
