"""A log ends before its curves say anything."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import Curve, game, loss_curves, shown, validation_curves
from cognate.case.series import finite, noise
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

_LOG = {"origin": "a log", "log": {"step_unit": "epoch"}}


@rule(
    code="LOSS129",
    name="loss-too-short",
    severity=Severity.INFO,
    kind=Kind.SYMPTOM,
    needs={"log"},
    sources={
        "fewest": "six values: fewer show neither a level nor a trend",
        "few": "our calibration on 42 labelled logs: runs with up to 30 values that still fell were called too short",
        "steps": "a hundred optimizer steps are the warm-up of most schedules",
        "remains": "our calibration: of the whole fall so far, in the last quarter of the values; a run that levels off has less",
    },
    fires=Example(info=_LOG, metrics=[{"step": s, "loss": 4.0 - 0.2 * s} for s in range(10)]),
    quiet=Example(info=_LOG, metrics=[{"step": s, "loss": 4.0 / (1 + s)} for s in range(40)]),
)
def loss_too_short(
    case: Case, *, fewest: int = 6, few: int = 30, steps: int = 100, remains: float = 0.08
) -> Iterator[Finding | Clear | Skip]:
    """The log is too short to tell: it has a handful of values, or it ends while the loss still falls steeply.

    Nothing can be said of where such a run would have gone: whether it learns, overfits or diverges shows later. Train longer, or
    log more often.
    """
    curves = loss_curves(case) or validation_curves(case)
    if not curves:
        yield Skip("no loss was logged", "log the training loss")
        return
    curve = max(curves, key=lambda one: len(one.values))
    values = finite(curve.values)
    total = sum(len(one.values) for one in curves)
    if total < fewest:
        yield _finding(curve, f"only {total} value{'s' if total != 1 else ''} of the {curve.title} were logged", total)
        return
    brief = len(values) <= few or (curve.unit == "step" and curve.span <= steps)
    if not brief or game(case) or len(curves) > 1 or not values:
        yield Clear(f"{total} values of the {curve.title} were logged")
        return
    size = max(2, len(values) // 4)
    start, before, end = max(values[0], median(values[:2])), median(values[-2 * size : -size]), median(values[-size:])
    turned = any(_turned(finite(one.values)) for one in validation_curves(case))
    # Two standard errors of the difference of two medians of `size` values.
    falls = before - end > max(remains * (start - end), 2 * 1.25 * noise(values) * (2 / size) ** 0.5)
    if falls and not turned:
        text = (
            f"the log ends at {curve.unit} {curve.steps[-1]} while the {curve.title} still falls: {shown(before)} to {shown(end)}"
        )
        yield _finding(curve, f"{text} over the last {2 * size} of {len(values)} values", total)
    else:
        yield Clear(f"the {curve.title} levels off within its {len(values)} values")


def _turned(values: list[float]) -> bool:
    """Whether a validation loss has left its minimum: then the run was long enough to show it."""
    return len(values) >= 5 and median(values[-3:]) > 1.02 * min(values) and values.index(min(values)) < len(values) - 3


def _finding(curve: Curve, text: str, total: int) -> Finding:
    return Finding(
        f"too short to tell: {text}",
        Proof.MEASUREMENT,
        (Evidence("values of the loss", total, "more, until it levels off", curve.source),),
        onset_step=None,
    )
