"""Validation columns that hold nothing but zeros."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.case.curves import Curve, loss_curves, validation_curves, validation_metric_curves
from cognate.case.series import finite, moves
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Severity, Skip, rule

_LOG = {"origin": "a log", "log": {"step_unit": "epoch"}}


def _rows(last: float) -> list[dict]:
    return [{"step": s, "loss": 2.0 / (1 + s), "val_loss": 0.0 if s < 9 else last} for s in range(10)]


@rule(
    code="EVAL203",
    name="eval-validation-empty",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    needs={"log"},
    sources={
        "at_least": "three evaluations of exactly 0: beside a training loss that moves, a loss of 0 to the last digit is none",
    },
    fires=Example(info=_LOG, metrics=_rows(0.0)),
    quiet=Example(info=_LOG, metrics=[row | {"val_loss": 1.0 / (1 + row["step"])} for row in _rows(0.0)]),
)
def eval_validation_empty(case: Case, *, at_least: int = 3) -> Iterator[Finding | Clear | Skip]:
    """The logged validation results are exactly 0: validation did not run, and the columns are a placeholder.

    Trainers write zeros where validation is turned off or postponed to the last epoch. Nothing is known of how the model does
    on data that it has not seen, and what chose the best checkpoint by these columns chose nothing.
    """
    curves = [curve for curve in validation_curves(case) if len(finite(curve.values)) >= at_least]
    if not curves:
        yield Skip(f"fewer than {at_least} logged validation losses are known", "log the validation loss")
        return
    empty = [curve for curve in curves if _zeros(curve) >= at_least and _zeros(curve) >= len(curve.values) - 1]
    metrics = [curve for curve in validation_metric_curves(case) if len(finite(curve.values)) >= at_least]
    alive = any(moves(curve.values) for curve in metrics) or any(curve not in empty for curve in curves)
    trains = any(moves(curve.values) for curve in loss_curves(case))
    if not empty or alive or not trains:
        yield Clear(f"{curves[0].title} is not 0 throughout, or nothing moves beside it")
        return
    curve = empty[0]
    late = _zeros(curve) < len(curve.values)
    what = f"{len(empty)} validation losses are" if len(empty) > 1 else f"the {curve.title} is"
    yield Finding(
        f"{what} exactly 0 at {'all but the last of ' if late else 'all '}{len(curve.values)} evaluations: validation did not run"
        + (" until the end" if late else ""),
        Proof.MEASUREMENT,
        (Evidence("validation losses that are 0", [one.name for one in empty], "a value that changes", curve.source),),
        Fix("Turn validation on, or name the data it should use; until then trust no checkpoint that is called the best"),
        onset_step=curve.onset(0),
        severity=Severity.INFO if late else None,
    )


def _zeros(curve: Curve) -> int:
    return sum(value == 0.0 for value in curve.values)
