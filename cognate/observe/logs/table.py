"""From the numbers of a log, line by line, to a run: roles, counters, rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs.counting import Plan, plan
from cognate.observe.logs.roles import assign, nature
from cognate.observe.logs.run import ForeignRun, put, put_user
from cognate.observe.logs.text import Losses

# Numbers of one line by the log's own names; NaN and infinities are numbers, a blank is absent.
Record = dict[str, float]
# Seconds since 1970 before 1973: a smaller number is a duration.
_UNIX = 1e8
_MILLISECONDS = 1e11
# Of more different names a log has none; a file that has them is no log, or is keyed by something that grows.
MOST_NAMES = 2_000


@dataclass
class Log:
    """What a reader knows besides the numbers."""

    file: Path
    origin: str
    title: str
    losses: Losses = field(default_factory=Losses)
    facts: dict[str, Any] = field(default_factory=dict)
    steps: int = 0
    finished: bool = False


@dataclass(frozen=True)
class Layout:
    """The role of each column that has a number, and where each line goes."""

    roles: dict[str, str]
    plan: Plan

    def named(self, role: str) -> str | None:
        """The column that has `role`."""
        return next((name for name, given in self.roles.items() if given == role), None)


def lay_out(
    counts: Mapping[str, int],
    length: int,
    column: Callable[[str], Sequence[float | None]],
    masks: Callable[[Sequence[str]], Sequence[int]],
) -> Layout:
    """Find roles and rows of `length` lines.

    `counts` has the number of values of each column, `column` gives its values, `masks` a bit for each column a line has.
    """
    roles = assign(list(counts), counts)
    step = next((name for name, role in roles.items() if role == "step"), None)
    epoch = next((name for name, role in roles.items() if role == "epoch"), None)
    rest = [name for name in counts if counts[name] < length and roles[name] not in ("step", "epoch", "t")]
    found = plan(column(step) if step is not None else None, column(epoch) if epoch is not None else None, masks(rest))
    if step is not None and found.unit != "step":
        roles[step] = f"user.{step}"
    return Layout(roles, found)


def run_of(log: Log, records: Sequence[Record]) -> ForeignRun:
    """The run that the lines in `records` tell of. Raises CaseError where they hold no number."""
    counts: dict[str, int] = {}
    for record in records:
        for name in record:
            counts[name] = counts.get(name, 0) + 1
    if not counts:
        raise CaseError(f"{log.file} holds no number that was logged: give the log of a run that trained.")
    if len(counts) > MOST_NAMES:
        kept = sorted(counts, key=lambda name: -counts[name])[:MOST_NAMES]
        log.losses.note("columns left out beyond the 2,000 with the most values", count=len(counts) - MOST_NAMES)
        counts = {name: counts[name] for name in counts if name in set(kept)}
    bit = {name: 1 << index for index, name in enumerate(counts)}

    def masks(names: Sequence[str]) -> list[int]:
        wanted = set(names)
        return [sum(bit[name] for name in record if name in wanted) for record in records]

    layout = lay_out(counts, len(records), lambda name: [record.get(name) for record in records], masks)
    joined: list[Record] = [{} for _ in layout.plan.steps]
    for record, target in zip(records, layout.plan.target, strict=True):
        joined[target].update(record)
    places = zip(layout.plan.steps, layout.plan.segments, joined, strict=True)
    rows = [_row(step, segment, record, layout.roles) for step, segment, record in places]
    rows = [row for row in rows if len(row) > 1 + ("segment" in row)]
    _time(layout.roles, rows)
    planned = records[-1].get("total_steps", 0.0)
    if layout.roles.get("current_steps") == "step" and 0 < planned < math.inf:  # LLaMA-Factory plans ahead
        log.facts["max_steps"] = int(planned)
    return finished(log, layout, rows=rows)


def finished(log: Log, layout: Layout, **contents: Any) -> ForeignRun:
    """The run with `contents` (rows or series), and the facts that every log of ours has.

    Raises CaseError where the log has a counter and nothing else.
    """
    if set(layout.roles.values()) == {"step"}:
        raise CaseError(f"{log.file} counts steps and logs nothing about them: give the log of a run that trained.")
    planned = log.facts.get({"step": "max_steps", "epoch": "max_epochs"}.get(layout.plan.unit, ""))
    # Epochs are counted from 0 or from 1: the last of ten is 9 or 10.
    reached = max(layout.plan.steps) + (layout.plan.unit == "epoch" and 0 in layout.plan.steps) if planned else 0
    kind = nature([name for name in layout.roles if layout.roles[name] != "step"])
    facts = {"step_unit": layout.plan.unit, "unreadable": log.losses.lines, **({"training": kind} if kind else {}), **log.facts}
    return ForeignRun(
        origin=log.origin,
        title=log.title,
        columns=layout.roles,
        steps=log.steps,
        finished=log.finished or bool(planned and reached >= planned),
        errors=log.losses.sentences(),
        facts=facts,
        **contents,
    )


def is_clock(times: Sequence[float | None], segments: Sequence[int]) -> bool:
    """Whether the values never go back, unless where the run was started again: else they are durations of single steps."""
    before, segment = -math.inf, -1
    for value, at in zip(times, segments, strict=True):
        if value is None:
            continue
        if not math.isfinite(value) or (value < before and at == segment):
            return False
        before, segment = value, at
    return True


def origin_of_time(times: Sequence[float | None]) -> tuple[float, float]:
    """What to take away from the values and by what to divide them to have seconds: Unix times begin with the log."""
    first = next((value for value in times if value is not None), 0.0)
    if first < _UNIX:
        return 0.0, 1.0
    return first, 1000.0 if first >= _MILLISECONDS else 1.0


def _row(step: int, segment: int, record: Record, roles: Mapping[str, str]) -> dict[str, Any]:
    row: dict[str, Any] = {"step": step, "segment": segment} if segment else {"step": step}
    for name, value in record.items():
        role = roles.get(name, "step")  # a name without a role was left out
        if role.startswith("user."):
            put_user(row, role[5:], value)
        elif role != "step":
            put(row, role, value)
    return row


def _time(roles: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Make `t` seconds since the log began, or give the column back its own name where it is no clock."""
    name = next((name for name, role in roles.items() if role == "t"), None)
    if name is None:
        return
    times = [math.nan if "t" in row.get("nonfinite", ()) else row.get("t") for row in rows]
    if is_clock(times, [row.get("segment", 0) for row in rows]):
        start, unit = origin_of_time(times)
        for row in rows:
            if "t" in row:
                row["t"] = (row["t"] - start) / unit
        return
    roles[name] = f"user.{name}"
    for row in rows:
        if "t" in row:
            value = row.pop("t")
            flag = row.get("nonfinite", {}).pop("t", None)
            put_user(row, name, float(flag) if flag else value)
            if not row.get("nonfinite", True):
                del row["nonfinite"]
