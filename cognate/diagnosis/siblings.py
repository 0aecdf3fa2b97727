"""Many runs beside each other: what each comes to in one line, and which one is far worse than those like it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from cognate.case.case import Case
from cognate.case.curves import Curve, loss_series, shown, validation_series
from cognate.case.series import MAD_TO_SIGMA
from cognate.diagnosis.model import Diagnosis

# A note needs siblings enough for a median and a spread, and a distance that neither noise nor a setting explains.
FEWEST_SIBLINGS = 3
# Siblings are logged by the same tool, and share at least this part of their columns: one that died early has fewer.
SHARED_COLUMNS = 0.5
SIGMAS, SHARE = 5.0, 0.5


@dataclass(frozen=True)
class Point:
    """A loss of a run: `value` is None where it is not finite."""

    name: str
    value: float | None
    step: int


@dataclass(frozen=True)
class RunSummary:
    """One row of the table of runs. `error` says why a run could not be read; the rest is empty then."""

    run: str
    format: str = ""
    steps: int = 0
    step_unit: str = "step"
    final_loss: Point | None = None
    best_validation: Point | None = None
    status: str = "unreadable"
    reason: str = ""
    finding: str = ""  # the first root cause, else the first symptom that nothing explains
    rule: str = ""
    columns: frozenset[str] = frozenset()  # of the log, or the script of a recorded run
    level: float | None = None  # of the loss at the end, by the median of its last tenth; infinite where it is not finite
    note: str = ""
    error: str = ""
    exit_code: int = 0


def summarise(run: str, case: Case, diagnosis: Diagnosis, exit_code: int) -> RunSummary:
    """What `diagnosis` and the curves of `case` come to."""
    loss, validation = loss_series(case), validation_series(case)
    first = next(iter([*diagnosis.root_causes, *diagnosis.findings]), None)
    log = case.info.get("log")
    unit = log.get("step_unit") if isinstance(log, dict) else None
    return RunSummary(
        run=run,
        format=case.info.get("origin", "live"),
        steps=case.steps,
        step_unit=str(unit or "step"),
        final_loss=_last(loss, case) if loss else None,
        best_validation=_best(validation, case) if validation else None,
        status=diagnosis.status,
        reason=diagnosis.reason,
        finding=first.title if first else "",
        rule=f"{first.rule} {first.name}" if first else "",
        columns=frozenset(map(str, case.info.get("columns") or [case.info.get("script", "")])),
        level=_level(loss) if loss else None,
        exit_code=exit_code,
    )


def with_notes(runs: Sequence[RunSummary]) -> list[RunSummary]:
    """The runs, those with a note that end far above what runs with the same loss end at. A note is no finding."""
    return [replace(run, note=_note(run, [other for other in runs if other is not run])) for run in runs]


def _note(run: RunSummary, others: Sequence[RunSummary]) -> str:
    if run.level is None or run.final_loss is None:
        return ""
    name = run.final_loss.name
    alike = [other.level for other in others if other.level is not None and _siblings(run, other)]
    if len(alike) < FEWEST_SIBLINGS:
        return ""
    middle = median(alike)
    spread = MAD_TO_SIGMA * median(abs(level - middle) for level in alike) if middle < float("inf") else 0.0
    if not run.level - middle > max(SIGMAS * spread, SHARE * abs(middle)):
        return ""
    ends = "is not finite at the end" if run.level == float("inf") else f"ends at {shown(run.level)}"
    return f"{name} {ends}; its {len(alike)} siblings have a median of {shown(middle)} there"


def _siblings(run: RunSummary, other: RunSummary) -> bool:
    named = run.final_loss is not None and other.final_loss is not None and run.final_loss.name == other.final_loss.name
    shared = len(run.columns & other.columns) >= SHARED_COLUMNS * len(run.columns | other.columns)
    return named and shared and run.format == other.format


def _named(role: str, curve: Curve, case: Case) -> str:
    """The log's own name for the curve, so that only like is compared with like."""
    columns = case.info.get("columns") or {}
    return next((name for name, given in columns.items() if given == role), curve.name)


def _last(curve: Curve, case: Case) -> Point:
    return Point(_named("loss", curve, case), curve.values[-1], curve.steps[-1])


def _best(curve: Curve, case: Case) -> Point:
    pairs = [(value, step) for value, step in zip(curve.values, curve.steps, strict=True) if value is not None]
    value, step = min(pairs) if pairs else (None, curve.steps[-1])
    return Point(_named("val_loss", curve, case), value, step)


def _level(curve: Curve) -> float:
    end = curve.values[-max(1, len(curve.values) // 10) :]
    return median(float("inf") if value is None else value for value in end)
