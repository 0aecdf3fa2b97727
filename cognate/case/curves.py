"""The best available series of a case: recorded by Cognate, else from a foreign log, else printed by the script."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

from cognate.case.case import Case
from cognate.case.printed import PrintedSeries, printed_metrics
from cognate.case.series import finite

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


def loss_curves(case: Case) -> list[Curve]:
    """The training loss, one curve for each segment, phase or optimizer of the run."""
    return metric_curves(case, "loss", "train loss") or _printed(case, ("train_loss",))


def loss_series(case: Case) -> Curve | None:
    """The longest training loss of the run, or None where none was recorded or printed."""
    return max(loss_curves(case), key=lambda curve: len(curve.values), default=None)


def validation_curves(case: Case) -> list[Curve]:
    """Validation losses of the run, the recorded ones before the printed ones."""
    recorded = metric_curves(case, "val_loss", "val loss")
    return recorded or _user(case, lambda name: "loss" in name) or _printed(case, ("val_loss",))


def validation_series(case: Case) -> Curve | None:
    """The longest validation loss of the run, or None where none was recorded or printed."""
    return max(validation_curves(case), key=lambda curve: len(curve.values), default=None)


def validation_metric_curves(case: Case) -> list[Curve]:
    """Validation metrics other than the loss."""
    return _user(case, lambda name: "loss" not in name) + _printed(case, ("val_metric",))


def lr_curves(case: Case) -> list[Curve]:
    """Learning rates that the optimizers used, else the printed ones."""
    return metric_curves(case, "lr", "learning rate") or _printed(case, ("lr",))


def metric_curves(case: Case, column: str, name: str) -> list[Curve]:
    """A column of `metrics.jsonl`, one curve a segment; optimizers that alternate get one each."""
    rows = [row for row in _rows(case) if column in row and (row[column] is not None or column in _flags(row))]
    parts = _parts(rows)
    names = {str(row.get("optimizer")) for row in rows}
    alternating = len(names) > 1 and len(parts) > 2 * len(names)
    if alternating:
        parts = [[row for row in rows if str(row.get("optimizer")) == one] for one in sorted(names)]
    live = case.info.get("origin", "live") == "live"
    source = f"metrics.jsonl: {column}" + ("" if live else f", from {case.info.get('origin')}")
    curves = []
    for index, part in enumerate(parts):
        label = str(part[0].get("optimizer") or "") if len(names) > 1 else ""
        if len(parts) > 1 and not label:
            label = f"segment {index + 1}"
        values = tuple(_value(row, column) for row in part)
        steps = tuple(int(row.get("step") or 0) for row in part)
        curves.append(Curve(name, source, values, steps, part=label, concurrent=alternating))
    return curves


def _rows(case: Case) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", case.metrics)


def _flags(row: dict[str, Any]) -> dict[str, Any]:
    return cast("dict[str, Any]", row.get("nonfinite") or {})


def _value(row: dict[str, Any], column: str) -> float | None:
    value = row.get(column)
    return float(value) if isinstance(value, (int, float)) else None


def _parts(rows: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """Cut where a segment or an optimizer changes, or where the step goes back (a restart)."""
    parts: list[list[dict[str, Any]]] = []
    before: tuple[Any, Any, int] | None = None
    for row in rows:
        now = (row.get("segment"), row.get("optimizer"), int(row.get("step") or 0))
        if before is None or now[:2] != before[:2] or now[2] < before[2]:
            parts.append([])
        parts[-1].append(row)
        before = now
    return parts


def _user(case: Case, wanted: Callable[[str], bool]) -> list[Curve]:
    """Metrics that the user or a log named, where the name begins with a word for validation."""
    found: dict[str, list[tuple[float | None, int]]] = {}
    for row in _rows(case):
        for name, value in (row.get("user") or {}).items():
            plain = str(name).lower().replace("/", "_")
            if plain.split("_")[0] in _VALIDATION and wanted(plain):
                number = float(value) if isinstance(value, (int, float)) else None
                found.setdefault(str(name), []).append((number, int(row.get("step") or 0)))
    return [
        Curve(name, "metrics.jsonl: user", tuple(v for v, _ in pairs), tuple(s for _, s in pairs))
        for name, pairs in found.items()
    ]


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
