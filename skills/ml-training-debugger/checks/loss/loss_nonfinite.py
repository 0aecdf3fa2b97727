"""LOSS201: the training loss becomes NaN or infinite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cognate.case.curves import Curve, extent, logged, loss_curves, shown
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Location, Proof, Severity, Skip, rule
from cognate.rules.birth import birth
from cognate.rules.training import where


@rule(
    code="LOSS201",
    name="loss-nonfinite",
    severity=Severity.ERROR,
    kind=Kind.SYMPTOM,
    core=True,
    fires=Example(
        metrics=[
            *({"step": step, "loss": 2.0 + step} for step in range(1, 6)),
            *({"step": step, "loss": None, "nonfinite": {"loss": "nan"}} for step in range(6, 20)),
        ]
    ),
    quiet=Example(metrics=[{"step": step, "loss": 2.0 / step} for step in range(1, 20)]),
)
def loss_nonfinite(case: Case) -> Iterator[Finding | Clear | Skip]:
    """The training loss is NaN or infinite.

    Every weight that such a loss reaches becomes NaN with the next optimizer step, and stays so. Usual reasons: a
    learning rate that is too high, log or division of zero, a softmax over a fully masked row, float16 overflow, NaN in
    the data. A single bad step from which the loss returns is reported as a warning.
    """
    curves = loss_curves(case, whole=None in case.metrics.take("loss")[1])
    if not curves:
        yield Skip("no training loss was recorded or printed", "print the loss, or observe the run with `cognate run`")
    for curve in curves:
        if None in curve.values:
            yield _finding(case, curve)
        elif curve.values:
            yield Clear(f"{curve.title} finite at all {len(curve.values)} points, {extent(curve.values)}")


def _finding(case: Case, curve: Curve) -> Finding:
    values = curve.values
    first = values.index(None)
    step, count = curve.steps[first], values.count(None)
    what = _word(case, curve, first)
    if values[-1] is None:
        later = "every one of" if count == len(values) - first else f"{count} of"
        title = f"the {curve.title} is {what} from {curve.unit} {step} on: {later} the last {len(values) - first} values"
    else:
        title = f"the {curve.title} is {what} at {curve.unit} {step} ({count} of {len(values)} values), then finite again"
    before = next((value for value in reversed(values[:first]) if value is not None), None)
    evidence = [
        Evidence("values that are not finite", count, "0", curve.source),
        Evidence(f"first at {curve.unit}", step),
    ]
    if before is not None:
        evidence.append(Evidence("last finite value before", shown(before)))
    born = birth(case)
    if born is not None and born.site:
        verb = "made by" if born.phase == "forward" else "the derivative of"
        evidence.append(Evidence("first non-finite number", f"{verb} `{born.op}` at {where(born.site)}", "", f"step {born.step}"))
    return Finding(
        title,
        Proof.MEASUREMENT,
        tuple(evidence),
        location=Location.of(born.site, born.module) if born is not None else None,
        onset_step=curve.onset(first),
        severity=None if values[-1] is None else Severity.INFO if logged(case) and _warming(values) else Severity.WARNING,
    )


def _warming(values: Sequence[float | None]) -> bool:
    """Whether only the first few values are not finite: a mean over nothing, or a loss scale that settles."""
    last = max(index for index, value in enumerate(values) if value is None)
    return last < max(3, 0.05 * len(values)) and len(values) >= 10


def _word(case: Case, curve: Curve, index: int) -> str:
    if curve.texts:
        text = curve.texts[index].lower()
        return "NaN" if "nan" in text else "infinite"
    rows, steps = case.metrics.take("step")
    here = (row for row, step in zip(rows, steps, strict=True) if step == curve.steps[index])
    flag = next(filter(None, (case.metrics.flag(row, "loss") for row in here)), "")
    return "NaN" if flag == "nan" else "infinite" if flag else "not finite"
