"""LOSS202: the training loss leaves its minimum for good."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import Curve, extent, logged, loss_curves, shown, validation_curves, validation_metric_curves
from cognate.case.printed import printed_metrics
from cognate.case.series import block_medians, divergence, finite, lasting_jump, noise
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

_BETTER = ("acc", "f1", "map", "bleu", "iou", "dice", "auc", "rouge", "r2")
_REWARD = ("reward", "return", "episode", "advantage")


@rule(
    code="LOSS202",
    name="loss-diverging",
    severity=Severity.ERROR,
    kind=Kind.SYMPTOM,
    core=True,
    sources={
        "factor": "twice the minimum of block medians: chosen, no healthy run tried so far comes near it at its end",
        "tail": "it must hold for the last 15 % of the run, so that a spike that recovers is none",
    },
    fires=Example(metrics=[{"step": step, "loss": 2.0 * 1.05**step} for step in range(1, 80)]),
    quiet=Example(metrics=[{"step": step, "loss": 40.0 if 30 < step < 36 else 2.0 / (1 + step / 9)} for step in range(1, 80)]),
)
def loss_diverging(case: Case, *, factor: float = 2.0, tail: float = 0.15) -> Iterator[Finding | Clear | Skip]:
    """The training loss diverges: it climbs away from its minimum and stays up.

    Usual reasons: a learning rate that is too high or that a schedule raises, gradients that are never zeroed, a loss
    with the wrong sign, no gradient clipping where the loss surface is steep. A spike that recovers is not meant, nor
    are losses that play against each other (GAN) or whose target moves (reinforcement learning).
    """
    curves = [curve for curve in loss_curves(case) if len(finite(curve.values)) >= 6]
    if not curves:
        yield Skip("fewer than 6 values of the training loss are known", "train longer, or log the loss more often")
    if any(curve.concurrent for curve in curves):
        yield Clear("several losses alternate and play against each other: a rise of one is no divergence")
        return
    if _rewarded(case):
        yield Clear("a reward is being optimised: its loss has a moving target and may rise")
        return
    for curve in curves:
        numbers = finite(curve.values)
        places = [index for index, value in enumerate(curve.values) if value is not None]
        found = divergence(numbers, factor, tail)
        if found is None or (logged(case) and _lucky(numbers)):
            jump = _jump(case, curve) if logged(case) else None
            yield jump or Clear(f"{curve.title} {extent(numbers)}, {shown(numbers[0])} at first and {shown(numbers[-1])} at last")
            continue
        onset = places[found.onset]
        yield Finding(
            f"the {curve.title} diverges from {curve.unit} {curve.steps[onset]} on: from a minimum of {shown(found.minimum)} to "
            f"{shown(found.end)}, having begun at {shown(found.start)}",
            Proof.MEASUREMENT,
            (
                Evidence("level at the end", shown(found.end), f"below {shown(factor * found.minimum)}", curve.source),
                Evidence("lowest level", shown(found.minimum)),
                Evidence("level at the start", shown(found.start)),
            ),
            onset_step=curve.onset(onset),
            severity=Severity.WARNING if logged(case) and (_harder(numbers, found.end) or _as_good(case)) else None,
        )


def _harder(numbers: list[float], end: float) -> bool:
    """Whether the loss ends below where it began: harder data, or a term that grows, can do that without any loss of skill."""
    return end < 0.85 * max(numbers[0], median(numbers[:3]))


def _lucky(numbers: list[float]) -> bool:
    """Whether the minimum is the luck of few noisy batches: what was usual around it reaches up to the level at the end."""
    levels = block_medians(numbers, 20)
    at = len(numbers) * levels.index(min(levels)) // len(levels)
    width = max(8, len(numbers) // 5)
    usual = sorted(numbers[max(0, at - width) : at + 1 + width // 4])
    return median(numbers[-max(3, len(numbers) * 15 // 100) :]) <= usual[len(usual) * 4 // 5]


def _jump(case: Case, curve: Curve) -> Finding | None:
    """A level that is left upwards from one value to the next, for good: less than a divergence, and not what training does."""
    places = [index for index, value in enumerate(curve.values) if value is not None]
    found = lasting_jump(curve.values)
    if found is None or _as_good(case):
        return None
    at = places[found.index]
    return Finding(
        f"the {curve.title} jumps from {shown(found.before)} to {shown(found.after)} at {curve.unit} {curve.steps[at]} "
        "and does not come back",
        Proof.MEASUREMENT,
        (
            Evidence("level before and after", [shown(found.before), shown(found.after)], "falling", curve.source),
            Evidence("values since", f"{len(places) - found.index} of {len(places)}"),
        ),
        onset_step=curve.onset(at),
        severity=Severity.WARNING,
    )


def _as_good(case: Case) -> bool:
    """Whether the validation ends about as well as it ever was: then the training loss rose by what it is made of (a term that
    grows, harder data), not by what the model lost. A log does not tell which; an observed run would."""
    for curve in validation_curves(case):
        values = finite(curve.values)
        if len(values) >= 4 and values[-1] <= 1.05 * min(values) and min(values) > 0 and values[-1] < 0.95 * values[0]:
            return True
    for curve in validation_metric_curves(case):
        levels = block_medians(curve.values, 10)
        high = any(word in curve.name.lower() for word in _BETTER)
        if high and len(levels) >= 4 and levels[-1] >= max(levels) - noise(curve.values) and levels[-1] > levels[0]:
            return True
    return False


def _rewarded(case: Case) -> bool:
    names = [*(name for name in case.metrics.names if name.startswith("user.")), *printed_metrics(case)]
    return any(word in name.lower() for name in names for word in _REWARD)
