"""Reads the lines of ordinary scripts fast: a line is taken apart in full once for each shape that its log has.

Two lines have the same shape where they differ in their numbers alone. What the numbers of a shape mean is found by
`cognate.case.line_metrics`, the slow way, and kept; for the next line of that shape the numbers are only picked out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cognate.case.line_metrics import PrintedMetric, read_line
from cognate.observe.logs.points import Told

# Digits that belong to a word ("top5", "fc1", "@1") are part of the shape.
_NUMBER = re.compile(
    r"((?<![\w.@])[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?|(?<!\w)[-+]?(?:[nN]a[nN]|NAN|[iI]nf(?:inity)?|INF)\b)"
)
_WORD = re.compile(r"[A-Za-z]{2,}")
_WORTH = re.compile(r"\d|nan|NaN|inf")
# Settings as they are printed before a run: argparse's Namespace, a command with flags, a table with dots.
_SETTINGS = re.compile(
    r"^\W*(?:Namespace|arg(?:ument)?s|config\w*|hyper\w*|hparams|options|settings|\w*Arguments|"
    r"\w*Config)\b\s*[({:=]|\s--[a-z]\w+|\w ?\.{4,}",
    re.IGNORECASE,
)
_MOST = 20_000  # shapes that are kept: a log of prose has as many as lines
_OFTEN = 16  # lines of a shape before it gets a pattern
_MOST_COMPILED = 200
_LONGEST = 1000  # characters: a longer line is a dump
# Words of numbers that describe the machine, the clock or the settings: they are no series.
_NOT_A_SERIES = {
    *("time", "times", "ms", "s", "sec", "secs", "second", "seconds", "min", "mins", "minutes", "hours", "eta"),
    *("elapsed", "remaining", "mem", "memory", "gpu", "cpu", "gb", "mb", "mib", "gib", "vram", "rss", "tok", "toks"),
    *("tokens", "throughput", "mfu", "tflops", "flops", "fps", "speed", "ips", "sps", "size", "seed", "samples"),
    *("examples", "images", "workers", "total", "max", "params", "parameters", "num", "number", "count", "patience"),
    *("counter", "threshold", "v", "version", "port", "pid", "id", "best", "warmup", "decay", "momentum", "every"),
    *("interval", "hidden", "layers", "heads", "dim", "dropout", "clip", "betas", "line", "file", "job", "rank"),
    *("date", "world", "device", "duration", "took", "wall", "data", "it", "per", "batches", "epochs"),
}


_WHOLE_NUMBER, _FRACTION = r"[-+]?\d+", r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"


class _Plan(NamedTuple):
    """Which numbers of a shape are what, by their place; -1 where a line of it has none."""

    step: int
    steps: int
    epoch: int
    epochs: int
    values: tuple[tuple[str, int], ...]  # name, place
    scaled: tuple[tuple[int, float, int], ...]  # of these: which, its factor, the place of its divisor


@dataclass
class _Shape:
    plan: _Plan | None
    seen: int = 0
    fast: tuple[re.Pattern[str], _Plan] | None = None


class Shapes:
    """The shapes of one log; call it with a line."""

    def __init__(self) -> None:
        self._shapes: dict[str, _Shape] = {}
        # Most lines look like the one before, or like the last validation: patterns of these, tried first.
        self._recent: list[tuple[re.Pattern[str], _Plan]] = []
        self._compiled = 0

    def __call__(self, line: str) -> Told | None:
        """What the line tells, or None; never raises."""
        for pattern, plan in self._recent:
            found = pattern.fullmatch(line)
            if found is not None:
                return _apply(plan, found.groups())
        if len(line) > _LONGEST or not _WORTH.search(line):
            return None
        parts = _NUMBER.split(line)
        numbers = parts[1::2]
        if not numbers:
            return None
        # A whole number may be a counter where a fraction is none.
        kinds = "".join(["i" if text.isdigit() else "f" if text[-1].isdigit() or text[-1] == "." else "n" for text in numbers])
        key = "\0".join(parts[::2]) + kinds
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) >= _MOST:
                self._shapes.clear()
            shape = self._shapes[key] = _Shape(_plan(line))
        if shape.plan is None:
            return None
        self._remember(shape, parts, kinds)
        return _apply(shape.plan, numbers)

    def _remember(self, shape: _Shape, parts: list[str], kinds: str) -> None:
        """Put a shape that comes often among those that are tried first; to compile its pattern costs as much as 100 lines."""
        shape.seen += 1
        if shape.fast is None and shape.plan and shape.seen >= _OFTEN and "n" not in kinds and self._compiled < _MOST_COMPILED:
            self._compiled += 1
            shape.fast = _pattern(parts, kinds, shape.plan)
        if shape.fast is not None:
            self._recent = [shape.fast, *self._recent[:2]]


def _pattern(parts: list[str], kinds: str, plan: _Plan) -> tuple[re.Pattern[str], _Plan]:
    """A pattern for the lines of a shape, however wide its blanks, and the plan for what it catches."""
    narrow, used = _narrow(plan)
    numbers = [_WHOLE_NUMBER if kind == "i" else _FRACTION for kind in kinds]
    caught = [f"({number})" if place in used else number for place, number in enumerate(numbers)]
    texts = [re.sub(r"(?:\\ )+", " +", re.escape(text)) for text in parts[::2]]
    return re.compile("".join(text + number for text, number in zip(texts, [*caught, ""], strict=True))), narrow


def _apply(plan: _Plan, numbers: Sequence[str]) -> Told:
    step, steps, epoch, epochs, values, scaled = plan
    told = [(name, float(numbers[place])) for name, place in values]
    for index, factor, divisor in scaled:
        name, value = told[index]
        told[index] = name, value * factor if divisor < 0 else value / (float(numbers[divisor]) or math.nan)
    return Told(
        told,
        None if step < 0 else float(numbers[step]),
        None if steps < 0 else float(numbers[steps]),
        None if epoch < 0 else float(numbers[epoch]),
        None if epochs < 0 else float(numbers[epochs]),
    )


def _narrow(plan: _Plan) -> tuple[_Plan, frozenset[int]]:
    """The plan for a pattern that catches only the numbers it uses, and their places."""
    used = {place for place in (*plan[:4], *(place for _, place in plan.values), *(one[2] for one in plan.scaled)) if place >= 0}
    place_of = {place: index for index, place in enumerate(sorted(used))} | {-1: -1}
    values = tuple((name, place_of[place]) for name, place in plan.values)
    scaled = tuple((index, factor, place_of[divisor]) for index, factor, divisor in plan.scaled)
    step, steps, epoch, epochs = (place_of[place] for place in plan[:4])
    return _Plan(step, steps, epoch, epochs, values, scaled), frozenset(used)


def _plan(line: str) -> _Plan | None:
    if _SETTINGS.search(line) or "kipping" in line:  # "loss is nan, skipping this batch" is no value of the curve
        return None
    told = read_line(line)
    places = {match.start(): index for index, match in enumerate(_NUMBER.finditer(told.text))}
    texts = _NUMBER.findall(told.text)
    counted = told.epoch is not None or told.step is not None
    metrics = [metric for metric in told.metrics if metric.start in places and _is_series(metric, counted)]
    # The settings that a script prints first have no counter and no loss; a rate alone is one of them.
    if not counted and not any(metric.role and metric.role != "lr" for metric in metrics):
        metrics = []
    if told.phase:
        metrics = [PrintedMetric(f"{told.phase}/{m.name}", m.role, m.text, m.value, m.start) for m in metrics]
    step, epoch = places.get(told.step_at, -1), places.get(told.epoch_at, -1)
    if not metrics and (epoch < 0 or step >= 0 or told.metrics or len(_WORD.findall(told.text)) > 3):
        return None  # neither metrics nor a heading such as "Epoch 3/10"
    values, scaled = [], []
    for index, metric in enumerate(metrics):
        place = places[metric.start]
        values.append((metric.name, place))
        if metric.value is not None and metric.value != float(texts[place]):
            percent = math.isclose(metric.value * 100, float(texts[place]), rel_tol=1e-9)
            scaled.append((index, 0.01, -1) if percent else (index, 1.0, place + 1 if place + 1 < len(texts) else -1))
    return _Plan(step, _after(step, told.steps, texts), epoch, _after(epoch, told.epochs, texts), tuple(values), tuple(scaled))


def _after(place: int, total: float | None, texts: list[str]) -> int:
    """The place of the total of a counter."""
    if place < 0 or total is None or place + 1 >= len(texts):
        return -1
    return place + 1 if float(texts[place + 1]) == total else -1


def _is_series(metric: PrintedMetric, counted: bool) -> bool:
    if metric.role is not None:
        return True
    words = metric.name.split("_")
    return counted and len(words) <= 5 and not any(word in _NOT_A_SERIES for word in words) and not metric.name[:1].isdigit()
