"""Series beside the training loss that are NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.case.curves import Curve, loss_curves, user_curves, validation_curves
from cognate.case.series import finite
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

_LOG = {"origin": "a log", "log": {"step_unit": "step"}}


def _rows(broken: bool) -> list[dict]:
    flag = {"nonfinite": {"user.AP/small": "nan"}} if broken else {}
    return [{"step": s, "loss": 2.0 / (1 + s), "user": {"AP/small": None if broken else 0.5}, **flag} for s in range(20)]


@rule(
    code="LOSS211",
    name="loss-other-nonfinite",
    severity=Severity.INFO,
    kind=Kind.SYMPTOM,
    needs={"log"},
    sources={
        "least": "three values in a row to the end, after three that were numbers, are no accident",
        "most": "our calibration: in a run that is lost, more than half of what is logged becomes NaN with it",
    },
    fires=Example(info=_LOG, metrics=_rows(True)),
    quiet=Example(info=_LOG, metrics=_rows(False)),
)
def loss_other_nonfinite(case: Case, *, least: int = 3, most: float = 0.5) -> Iterator[Finding | Clear | Skip]:
    """Series beside the training loss are NaN or infinite while it is not.

    A mean over nothing (a class without objects, no finished episode) is harmless and usual. A validation loss that becomes NaN
    is not; and where no loss was logged at all, most other series becoming NaN is all that shows that the run is lost.
    """
    losses = loss_curves(case)
    if any(value is None for curve in losses for value in curve.values[-least:]):
        yield Clear("the training loss itself is not finite: loss-nonfinite")
        return
    names = [name[5:] for name in case.metrics.names if name.startswith("user.")]
    others = [curve for name in names for curve in user_curves(case, name)]
    bad = [curve for curve in others if None in curve.values]
    validation = [curve for curve in validation_curves(case) if curve.values and _dies(curve, least)]
    lost = [curve for curve in bad if _dies(curve, least) and finite(curve.values)]
    if not losses and len(others) > 1 and len(lost) > most * len(others):
        yield _finding(lost, f"{len(lost)} of {len(others)} logged series become NaN or infinite for good", Severity.ERROR)
    elif validation:
        yield _finding(validation, f"the {validation[0].title} is NaN or infinite to the end", Severity.WARNING)
    elif bad:
        several = f" and {len(bad) - 1} more series" if len(bad) > 1 else ""
        yield _finding(bad, f"{bad[0].name}{several} {'are' if several else 'is'} not finite{_when(bad)}; the loss is", None)
    else:
        yield Clear(f"{len(others)} series beside the loss are finite")


def _dies(curve: Curve, least: int) -> bool:
    return len(curve.values) >= least and all(value is None for value in curve.values[-least:])


def _when(curves: list[Curve]) -> str:
    if all(not finite(curve.values) for curve in curves):
        return " throughout"
    early = all(None not in curve.values[len(curve.values) // 5 :] for curve in curves)
    return " at the start" if early else " in places"


def _finding(curves: list[Curve], title: str, severity: Severity | None) -> Finding:
    worst = curves[0]
    first = worst.values.index(None)
    return Finding(
        title,
        Proof.MEASUREMENT,
        (
            Evidence("series", [curve.name for curve in curves[:8]], "finite", worst.source),
            Evidence(f"first at {worst.unit}", worst.steps[first]),
        ),
        onset_step=worst.onset(first),
        severity=severity,
    )
