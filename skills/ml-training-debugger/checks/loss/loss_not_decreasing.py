"""LOSS203: the training loss stays where it began."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median

from cognate.case.curves import Curve, logged, loss_curves, shown, validation_curves
from cognate.case.series import block_medians, divergence, finite, noise, standard_error, trend
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule


@rule(
    code="LOSS203",
    name="loss-not-decreasing",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    sources={
        "least_steps": "fewer than 30 optimizer steps are too few to ask for progress under warm-up",
        "least_drop": "a fall below 2 % of the first level is lost in the noise of batch losses",
        "low": "0.05 nat is a probability of 95 % for the right answer: little is left to learn",
    },
    fires=Example(metrics=[{"step": step, "loss": 2.3 + 0.05 * (step * 7 % 5 - 2)} for step in range(1, 120)]),
    quiet=Example(metrics=[{"step": step, "loss": 2.3 / (1 + step / 40)} for step in range(1, 120)]),
)
def loss_not_decreasing(
    case: Case, *, least_steps: int = 30, least_drop: float = 0.02, low: float = 0.05
) -> Iterator[Finding | Clear | Skip]:
    """The training loss does not decrease: no trend and no lower level after the first steps.

    Usual reasons: the trained parameters are not those of the optimizer, gradients do not reach them, a learning rate
    that is zero or far too low, labels that do not belong to their inputs, a loss detached from the model. A loss that
    is low from the start (a trained model) is not meant.
    """
    curves = [curve for curve in loss_curves(case) if _long(case, curve, least_steps)]
    if not curves:
        yield Skip(f"the loss is known for fewer than {least_steps} steps or 8 points", "train longer")
    if any(curve.concurrent for curve in curves):
        yield Clear("several losses alternate and play against each other: none has to fall")
        return
    generalises = logged(case) and any(_falls(one) for one in validation_curves(case))
    for curve in curves:
        finding = None if generalises else _judge(curve, least_drop, low)
        if finding is not None and logged(case) and _may_fall(curve):
            finding = replace(finding, severity=Severity.INFO)
        if finding is not None and (whole := _continued(case, curve)) is not None and _judge(whole, least_drop, low) is None:
            yield Clear(f"{curve.title} goes on from a training whose loss fell")
            continue
        numbers = finite(curve.values)
        yield finding or Clear(f"{curve.title} from {shown(numbers[0])} to {shown(block_medians(numbers, 5)[-1])}")


def _continued(case: Case, curve: Curve) -> Curve | None:
    """`curve` with what the same optimizer did before another one stepped in between (a probe of the features, say)."""
    before = [one for one in loss_curves(case) if one.part == curve.part and one.part and one.steps[-1] < curve.steps[0]]
    if not before:
        return None
    parts = [*before, curve]
    values, steps = (tuple(v for one in parts for v in one.values), tuple(s for one in parts for s in one.steps))
    return replace(curve, values=values, steps=steps)


def _falls(curve: Curve) -> bool:
    slope = trend(curve.values)
    return slope is not None and slope.falls


def _may_fall(curve: Curve) -> bool:
    """Whether the trend points down, and its interval leaves room for a fall by a tenth: too noisy to be held against it."""
    levels, slope = block_medians(curve.values, 60), trend(curve.values)
    return slope is not None and slope.slope < 0 and slope.low * len(levels) < -0.1 * abs(levels[0])


def _steps(curve: Curve) -> int:
    return max(len(curve.values), curve.span)


def _long(case: Case, curve: Curve, least: int) -> bool:
    """Whether the curve covers enough steps; eight epochs of a log always do."""
    return len(finite(curve.values)) >= 8 and (_steps(curve) >= least or (logged(case) and curve.unit == "epoch"))


def _judge(curve: Curve, least_drop: float, low: float) -> Finding | None:
    numbers = finite(curve.values)
    levels = block_medians(numbers, 10)
    slope = trend(numbers)
    # Most of the way is often covered within the first steps, before the first block ends.
    start = max(levels[0], block_medians(numbers[:5], 1)[0])
    spread = noise(numbers)
    later = median(levels[len(levels) // 2 :])
    fell = start - later > max(least_drop * abs(start), 3 * standard_error(numbers, len(levels)))
    fell_at_once = numbers[0] - levels[-1] > max(least_drop * abs(numbers[0]), 5 * spread)
    if slope is None or slope.falls or fell or fell_at_once or abs(start) <= low or divergence(numbers) is not None:
        return None
    return Finding(
        f"the {curve.title} does not decrease over {_steps(curve)} steps: {shown(levels[0])} at first, "
        f"{shown(levels[-1])} at last, noise ±{shown(spread)}",
        Proof.MEASUREMENT,
        (
            Evidence("level of the first and the last tenth", [shown(levels[0]), shown(levels[-1])], "", curve.source),
            Evidence("slope, 95 % interval", [shown(slope.low), shown(slope.high)], "wholly below 0"),
        ),
        onset_step=curve.onset(0),
    )
