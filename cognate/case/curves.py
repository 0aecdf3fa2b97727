"""The best available series of a case: recorded by Cognate, else from a foreign log, else printed by the script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import compress, islice, pairwise
from operator import lt
from typing import Any, TypeVar, cast

from cognate.case.case import Case
from cognate.case.printed import PrintedSeries, printed_metrics
from cognate.case.series import finite

# A judgement looks at medians of stretches anyway; a million values more would only make it slow.
LONGEST = 20_000
Value = TypeVar("Value")
_VALIDATION = ("val", "valid", "validation", "eval", "test", "dev")


@dataclass(frozen=True)
class Curve:
    """One series of a run without its gaps: None marks a value that was measured and was not finite."""

    name: str
    source: str  # where it comes from, in words that a report can quote
    values: tuple[float | None, ...]
    steps: tuple[int, ...]  # optimizer steps done, or the logged step
    texts: tuple[str, ...] = ()  # as printed, where it was printed
    part: str = ""  # segment, phase or optimizer, where the run has several
    concurrent: bool = False  # one of several losses that alternate, as in adversarial training
    unit: str = "step"  # what `steps` counts: step, epoch or line

    @property
    def span(self) -> int:
        """Steps from the first to the last value."""
        return self.steps[-1] - self.steps[0] if self.steps else 0

    def onset(self, index: int) -> int | None:
        """The step of a value, for a finding; None where the run's steps are not known."""
        return self.steps[index] if self.unit == "step" else None

    @property
    def title(self) -> str:
        """Name for a sentence, with its part where the run has several."""
        return f"{self.name} ({self.part})" if self.part else self.name


def loss_curves(case: Case, *, whole: bool = False) -> list[Curve]:
    """The training loss, one curve for each segment, phase or optimizer of the run; shortened as `metric_curves` says."""
    recorded = metric_curves(case, "loss", "train loss", whole=whole)
    return recorded or loss_parts(case) or _printed(case, ("train_loss",))


def logged(case: Case) -> bool:
    """Whether the evidence is somebody else's log: it shows curves, and of the run behind them nothing."""
    return case.info.get("origin", "live") != "live"


def game(case: Case) -> str:
    """ "reinforcement" or "adversarial" where a log says so: losses with a moving target, which may rise."""
    facts = cast("dict[str, Any]", case.info).get("log")
    return str(facts.get("training") or "") if logged(case) and isinstance(facts, dict) else ""


def loss_parts(case: Case) -> list[Curve]:
    """What stands for the loss where a log has its parts alone: their sum, or each by itself where they are a game."""
    if not logged(case):
        return []
    parts = [name[5:] for name in case.metrics.names if name.startswith("user.") and _is_part(name[5:])]
    trained = [name for name in parts if "train" in _words(name)] or parts
    if game(case):
        return [replace(curve, concurrent=True) for name in trained for curve in user_curves(case, name)]
    # Of a value a step and its mean an epoch, one is enough.
    kept = [name for name in trained if not (name.endswith("_step") and name.removesuffix("_step") + "_epoch" in trained)]
    return _sum([curve for name in kept for curve in user_curves(case, name)])


def _sum(curves: Sequence[Curve]) -> list[Curve]:
    """The sum of the parts of a loss, of those that were logged together with the first; other curves as they are."""
    known = [curve for curve in curves if finite(curve.values)] or list(curves)  # a part of no object at all is NaN throughout
    alike = [curve for curve in known if curve.steps == known[0].steps]
    if len(alike) < 2 or len({curve.name for curve in alike}) < len(known):
        return known
    rows = zip(*(curve.values for curve in alike), strict=True)
    total = tuple(None if None in row else sum(cast("tuple[float, ...]", row)) for row in rows)
    names = ", ".join(curve.name for curve in alike[:4]) + (f" and {len(alike) - 4} more" if len(alike) > 4 else "")
    return [replace(alike[0], name=f"sum of {names}", values=total)]


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", name.lower()) if word]


def _is_part(name: str) -> bool:
    words = _words(name)
    return "loss" in words and not set(words) & {*_VALIDATION, "scale", "testing", "weight", "best", "min", "max"}


def loss_series(case: Case) -> Curve | None:
    """The longest training loss of the run, or None where none was recorded or printed."""
    return max(loss_curves(case), key=lambda curve: len(curve.values), default=None)


def validation_curves(case: Case) -> list[Curve]:
    """Validation losses of the run, the recorded ones before the printed ones."""
    recorded = metric_curves(case, "val_loss", "val loss")
    parts = [] if recorded else validation_parts(case)
    return recorded or (_sum(parts) if parts and logged(case) else parts) or _printed(case, ("val_loss",))


def validation_parts(case: Case) -> list[Curve]:
    """Validation losses by the user's own names: the parts of one, or those of several sets."""
    return _user(case, lambda name: "loss" in name)


def validation_series(case: Case) -> Curve | None:
    """The longest validation loss of the run, or None where none was recorded or printed."""
    return max(validation_curves(case), key=lambda curve: len(curve.values), default=None)


def validation_metric_curves(case: Case) -> list[Curve]:
    """Validation metrics other than the loss."""
    return _user(case, lambda name: "loss" not in name) + _printed(case, ("val_metric",))


def lr_curves(case: Case) -> list[Curve]:
    """Learning rates that the optimizers used, else the printed ones."""
    return metric_curves(case, "lr", "learning rate") or _printed(case, ("lr",))


def metric_curves(case: Case, column: str, name: str, *, whole: bool = False) -> list[Curve]:
    """A column of `metrics.jsonl`, one curve a segment; optimizers that alternate get one each.

    A curve longer than LONGEST is shortened to the medians of its stretches, unless `whole` asks for every value.
    """
    return list(_recorded(case, column, name, whole))


@lru_cache(maxsize=16)
def _recorded(case: Case, column: str, name: str, whole: bool) -> tuple[Curve, ...]:
    table = case.metrics
    where, values = table.take(column)
    steps = _steps(case, where)
    segments, optimizers = table.texts("segment"), table.texts("optimizer")
    names = {str(optimizers[row]) for row in where} if optimizers else {"None"}
    parts = _parts(where, steps, segments, optimizers)
    alternating = len(names) > 1 and len(parts) > 2 * len(names)
    if alternating and optimizers:
        parts = [[at for at, row in enumerate(where) if str(optimizers[row]) == one] for one in sorted(names)]
    live = not logged(case)
    moving = bool(game(case)) and column == "loss"
    source = f"metrics.jsonl: {column}" + ("" if live else f", from {case.info.get('origin')}")
    curves = []
    for index, part in enumerate(parts):
        label = str(optimizers[where[part[0]]] or "") if optimizers and len(names) > 1 else ""
        if len(parts) > 1 and not label:
            label = f"segment {index + 1}"
        own = _stretches(_at(values, part), _at(steps, part), len(part) if whole else LONGEST)
        curves.append(Curve(name, source, *own, part=label, concurrent=alternating or moving, unit=_unit(case)))
    return tuple(curves)


def points(case: Case, column: str) -> list[tuple[int, float | None]]:
    """Step and value of every row that has one in `column`; None is a value that was not finite."""
    where, values = case.metrics.take(column)
    return list(zip(_steps(case, where), values, strict=True))


def _unit(case: Case) -> str:
    """What `step` counts in the rows of the case: a foreign log may count epochs or only its rows."""
    facts = cast("dict[str, Any]", case.info).get("log")
    unit = facts.get("step_unit") if isinstance(facts, dict) else None
    return {"epoch": "epoch", "row": "line"}.get(str(unit), "step")


def _steps(case: Case, where: Sequence[int]) -> list[int]:
    rows, steps = _counted(case) if len(case.metrics) > LONGEST else case.metrics.take("step")
    if rows == where:
        return cast("list[int]", steps) if len(rows) > LONGEST else [int(step or 0) for step in steps]
    known = dict(zip(rows, steps, strict=True))
    return [int(known.get(row) or 0) for row in where]


@lru_cache(maxsize=2)
def _counted(case: Case) -> tuple[Sequence[int], list[int]]:
    """The steps of a long run, which every column asks for."""
    rows, steps = case.metrics.take("step")
    return rows, [int(step or 0) for step in steps]


def _parts(
    where: Sequence[int], steps: Sequence[int], segments: Sequence[Any] | None, optimizers: Sequence[Any] | None
) -> list[Sequence[int]]:
    """Cut where a segment or an optimizer changes, or where the step goes back (a restart): places in `where`."""
    cuts = {0, *compress(range(1, len(steps)), map(lt, islice(steps, 1, None), steps))}
    for texts in (segments, optimizers):
        if texts is not None:
            cuts.update(at for at in range(1, len(where)) if texts[where[at]] != texts[where[at - 1]])
    edges = [*sorted(cuts), len(where)]
    return [range(low, high) for low, high in pairwise(edges) if high > low]


def _stretches(values: list[float | None], steps: list[int], most: int) -> tuple[tuple[float | None, ...], tuple[int, ...]]:
    """At most `most` values and their steps: medians of stretches, None where half of one or more is not finite."""
    if len(values) <= most:
        return tuple(values), tuple(steps)
    width = -(-len(values) // most)
    every = max(1, width // 9)  # nine of a stretch give its median closely enough, and cost a fifth
    kept: list[float | None] = []
    for low in range(0, len(values), width):
        stretch = values[low : low + width : every]
        numbers = sorted(value for value in stretch if value is not None)
        kept.append(numbers[len(numbers) // 2] if 2 * len(numbers) > len(stretch) else None)
    return tuple(kept), tuple(steps[::width])


def _at(values: list[Value], part: Sequence[int]) -> list[Value]:
    if isinstance(part, range):
        return values if len(part) == len(values) else values[part.start : part.stop]
    return [values[at] for at in part]


def _user(case: Case, wanted: Callable[[str], bool]) -> list[Curve]:
    """Metrics that the user or a log named, where the name begins with a word for validation."""
    found: list[Curve] = []
    for column in case.metrics.names:
        name = column.removeprefix("user.")
        plain = name.lower().replace("/", "_")
        if name != column and plain.split("_")[0] in _VALIDATION and wanted(plain):
            found.extend(user_curves(case, name))
    return found


@lru_cache(maxsize=64)
def user_curves(case: Case, name: str) -> tuple[Curve, ...]:
    """A metric by the user's own name, one curve a segment, shortened like the others."""
    where, values = case.metrics.take(f"user.{name}")
    steps = _steps(case, where)
    parts = _parts(where, steps, case.metrics.texts("segment"), None)
    return tuple(
        Curve(
            name,
            "metrics.jsonl: user",
            *_stretches(_at(values, part), _at(steps, part), LONGEST),
            part=f"segment {index}" if len(parts) > 1 else "",
            unit=_unit(case),
        )
        for index, part in enumerate(parts, 1)
    )


def _printed(case: Case, roles: Iterable[str]) -> list[Curve]:
    wanted = set(roles)
    series = [one for one in printed_metrics(case).values() if one.role in wanted and one.values]
    # "loss 0.3 ce 0.2 kl 0.1": the parts of a loss are not the loss.
    whole = [one for one in series if one.name.endswith("loss") or one.name in ("train", "val", "test")]
    return [_curve(one) for one in (whole or series)]


def _curve(series: PrintedSeries) -> Curve:
    unit, steps = _axis(series)
    bare = series.name in ("train", "val", "test")
    name = f"{series.name} loss" if bare and series.role in ("train_loss", "val_loss") else series.name.replace("_", " ")
    values, texts = tuple(series.values), tuple(series.texts)
    return Curve(name, "printed by the script", values, steps, texts, series.phase, unit=unit)


def _axis(series: PrintedSeries) -> tuple[str, tuple[int, ...]]:
    """The recorder's steps; in a log without a recorder the printed ones where they rise, else epochs, else lines."""
    if any(series.observed):
        return "step", tuple(series.observed)
    for unit, counts in (("step", series.steps), ("epoch", series.epochs)):
        known = [int(count) for count in counts if count is not None]
        if len(known) == len(counts) and all(before < after for before, after in pairwise(known)):
            return unit, tuple(known)
    return "line", tuple(series.order)


def shown(value: float) -> str:
    """A number as a sentence quotes it: four significant digits."""
    return f"{value:.4g}"


def extent(values: Iterable[float | None]) -> str:
    """The range of the finite values as "0.12–2.3"."""
    numbers = finite(tuple(values))
    return f"{shown(min(numbers))}–{shown(max(numbers))}" if numbers else "nothing finite"
