"""The logged training loss stands still above what it could reach."""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import median

from cognate.case.curves import Curve, loss_curves, lr_curves, shown
from cognate.case.series import block_medians, divergence, finite, noise, standard_error, trend
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

_LOG = {"origin": "a log", "log": {"step_unit": "step"}}
# Numbers of classes that people have; beyond ten every loss is near the logarithm of some number.
_CLASSES = (*range(2, 11), 20, 50, 100, 1000)


@rule(
    code="LOSS127",
    name="loss-plateau",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    needs={"log"},
    sources={
        "least": "our calibration on 42 labelled logs: fewer than 40 values show no shelf but one at chance level",
        "epochs": "our calibration: the mean of an epoch is smooth, and fifteen of them a training",
        "tail": "our calibration: flat for the last three fifths; the end of a cosine schedule is flat for a fifth",
        "gain": "our calibration: of the first level; what gained more has learned and then converged, or may have",
        "still": "a full-batch loss that changes by less than a thousandth for a third of the run is at a stationary point",
        "chance": "guessing among k classes costs ln k, a coin flip 1/4 in squares; a model at chance is within 0.5 % of it",
    },
    fires=Example(info=_LOG, metrics=[{"step": s, "loss": 0.6931 + 0.05 / (1 + s) + 1e-4 * (s * 7 % 5 - 2)} for s in range(60)]),
    quiet=Example(info=_LOG, metrics=[{"step": s, "loss": 2.3 / (1 + s / 20) + 0.02 * (s * 7 % 5 - 2)} for s in range(60)]),
)
def loss_plateau(
    case: Case,
    *,
    least: int = 40,
    epochs: int = 15,
    tail: float = 0.6,
    gain: float = 0.1,
    still: float = 1e-3,
    chance: float = 5e-3,
) -> Iterator[Finding | Clear | Skip]:
    """The logged training loss is on a plateau: it stands still at chance level, or where it began, to the end of the run.

    Usual reasons: a learning rate that is far too low or too high, inputs that do not reach the output, labels that do not belong
    to their inputs, a saturated output, a minimum that is none. A loss that fell far and then changes by its noise alone has
    converged; one that stands perfectly still is told without a judgement. A shelf before the loss falls is not meant.
    """
    curves = [curve for curve in loss_curves(case) if len(finite(curve.values)) >= 6]
    if not curves:
        yield Skip("fewer than 6 values of the training loss are known", "train longer, or log the loss more often")
    if any(curve.concurrent for curve in curves):
        yield Clear("the losses have a moving target (reinforcement or adversarial training): none has to fall")
        return
    told: Finding | None = None
    for curve in curves:
        numbers = finite(curve.values)
        found = _chance(curve, numbers, chance, gain)
        if found is None and len(numbers) >= (epochs if curve.unit == "epoch" else least):
            found = _shelf(curve, numbers, tail, gain) or _drowned(curve, numbers) or _frozen(case, curve, numbers, still)
        levels = block_medians(numbers, 5)
        told = found or told
        yield Clear(f"{curve.title} goes from {shown(levels[0])} to {shown(levels[-1])} and stands still nowhere")
    if told:  # several segments of one run that stand still are one plateau
        yield told


def _chance(curve: Curve, numbers: list[float], near: float, gain: float) -> Finding | None:
    """A later half that lies at the loss of guessing, in a run that began not far above."""
    half = numbers[max(1, len(numbers) // 2 - 1) :]
    level = median(half)
    start = max(numbers[0], block_medians(numbers, 5)[0])
    known = [(math.log(k), f"ln {k}, guessing among {k} classes") for k in _CLASSES] + [
        (0.25, "the squared error of a coin flip")
    ]
    goal, words = min(known, key=lambda item: abs(item[0] - level))
    levels = block_medians(half, 5)
    if abs(level - goal) > near * goal or any(abs(one - goal) > near * goal for one in levels):
        return None
    # Batches of a model that has learned something else than the base rate scatter more widely than this.
    spread = median(abs(one - level) for one in half)
    if start - level > 2 * gain * start or spread > 2 * near * goal:
        return None
    return _finding(curve, len(numbers) - len(half), (start, level), f"at {words}", None)


def _shelf(curve: Curve, numbers: list[float], tail: float, gain: float) -> Finding | None:
    """No fall over the last `tail` of the run, and little before it."""
    begin = round(len(numbers) * (1 - tail))
    end = numbers[begin:]
    start = max(median(numbers[:3]), block_medians(numbers, 20)[0])
    level = median(end)
    slope = trend(end)
    error = standard_error(end, 5)
    levels = block_medians(end, 5)
    # With no gain at all it is loss-not-decreasing that says so.
    if start <= 0 or slope is None or slope.falls or not 0.02 * start < start - level <= gain * start:
        return None
    # A loss that is low already, or that falls in the end, has nothing to answer for.
    if level < 0.05 or levels[0] - levels[-1] > max(3 * error, 0.02 * level) or divergence(numbers) is not None:
        return None
    mild = Severity.INFO if start - level > 0.5 * gain * start else None
    return _finding(curve, begin, (start, level), "where it nearly began", mild)


def _drowned(curve: Curve, numbers: list[float]) -> Finding | None:
    """A fall over the whole run that is there, by its ranks, and less than one batch differs from the next, and than 2 %."""
    levels, slope = block_medians(numbers, 10), trend(numbers)
    fall = levels[0] - levels[-1]
    if slope is None or not slope.falls or not 0 <= fall < min(noise(numbers), 0.02 * levels[0]) or levels[-1] < 0.05:
        return None
    if median(numbers[:3]) - levels[-1] > max(0.1 * levels[-1], 3 * noise(numbers)):
        return None  # it fell at once, before the first level ends
    return _finding(curve, 0, (levels[0], levels[-1]), "hardly below where it began", Severity.INFO)


def _frozen(case: Case, curve: Curve, numbers: list[float], still: float) -> Finding | None:
    """A last third that hardly changes at all, at a level that is not small beside the start, under a rate that is not gone."""
    end = numbers[len(numbers) * 2 // 3 :]
    level, start = median(end), max(numbers[0], block_medians(numbers, 20)[0])
    ordered = sorted(end)
    spread = ordered[len(end) * 9 // 10] - ordered[len(end) // 10]
    levels = block_medians(end, 3)
    # What still creeps down by a share of the fall so far is converging.
    creeps = levels[0] - levels[-1] > 2 * still * max(start - level, 0.0) and start - level > 0.01 * start
    if level < 0.01 * start or spread > still * level or creeps:
        return None
    for rates in lr_curves(case):
        known = finite(rates.values)
        if known and known[-1] < 0.01 * max(known):
            return None
    begin = len(numbers) - 1
    while begin > 0 and abs(numbers[begin - 1] - level) <= 2 * still * level:
        begin -= 1
    return _finding(curve, begin, (start, level), "perfectly still: converged, or at a point with no way down", Severity.INFO)


def _finding(curve: Curve, begin: int, levels: tuple[float, float], where: str, severity: Severity | None) -> Finding:
    places = [index for index, value in enumerate(curve.values) if value is not None]
    at = places[begin]
    start, level = levels
    return Finding(
        f"the {curve.title} is on a plateau from {curve.unit} {curve.steps[at]} on: {shown(level)}, {where}",
        Proof.MEASUREMENT,
        (
            Evidence("level of the plateau", shown(level), "falling", curve.source),
            Evidence("level at the start", shown(start)),
            Evidence("values on the plateau", f"{len(places) - begin} of {len(places)}"),
        ),
        onset_step=curve.onset(at),
        severity=severity,
    )
