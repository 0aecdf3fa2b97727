"""A logged loss leaps up and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import Curve, game, loss_curves, shown, validation_curves, validation_parts
from cognate.case.series import Spike, finite, spikes
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

_LOG = {"origin": "a log", "log": {"step_unit": "step"}}


@rule(
    code="LOSS128",
    name="loss-spike",
    severity=Severity.INFO,
    kind=Kind.SYMPTOM,
    needs={"log"},
    sources={
        "z": "eight robust standard deviations above the values before (Hampel 1974, with room for heavy tails)",
        "times": "our calibration on 42 labelled logs: twice the third quartile of the values before",
        "alone": "our calibration: a spike stands out by two and a half times what the highest other value does",
        "most": "our calibration: what happens more often is the noise of the batches, not an event",
        "within": "our calibration: back within a tenth of the run, as BLOOM was (2022-04-12, within 30 steps)",
    },
    fires=Example(info=_LOG, metrics=[{"step": s, "loss": 9.0 if s == 40 else 2.0 / (1 + s / 30)} for s in range(80)]),
    quiet=Example(info=_LOG, metrics=[{"step": s, "loss": 2.0 / (1 + s / 30) + 0.1 * (s * 7 % 5 - 2)} for s in range(80)]),
)
def loss_spike(
    case: Case, *, z: float = 8.0, times: float = 2.0, alone: float = 2.5, most: int = 5, within: float = 0.1
) -> Iterator[Finding | Clear | Skip]:
    """A logged loss has a spike: it leaps up and is back soon after.

    One bad batch, a few steps at too high a rate, an evaluation in the middle of a bad stretch. Training that goes on as before
    has lost nothing; spikes that come again, or leave the loss higher than it was, ask for clipping and a look at the batches.
    """
    if game(case):
        yield Clear("the losses have a moving target (reinforcement or adversarial training): leaps belong to it")
        return
    curves = {curve.title: curve for curve in [*loss_curves(case), *validation_curves(case), *validation_parts(case)]}
    long = [curve for curve in curves.values() if len(finite(curve.values)) >= 20]
    if not long:
        yield Skip("fewer than 20 values of a loss are known", "log the loss more often")
    for curve in long:
        found = _found(finite(curve.values), z, times, alone, within, most)
        if found:
            yield _finding(curve, found)
        else:
            yield Clear(f"{curve.title}: {len(found)} leaps that are back soon")


def _found(numbers: list[float], z: float, times: float, alone: float, within: float, most: int) -> list[Spike]:
    """Spikes that are back soon and stand alone: where many values leap, leaping is the noise."""
    far = max(5, round(within * len(numbers)))
    soon = [spike for spike in spikes(numbers, z) if spike.recovered is not None and spike.recovered - spike.index <= far]
    if not soon or len(soon) > most:
        return []
    heights = [0.0] * 5 + [_height(numbers, at) for at in range(5, len(numbers))]
    near = {at for spike in soon for at in range(spike.index - 5, (spike.recovered or spike.index) + 6)}
    usual = max((height for at, height in enumerate(heights) if at not in near), default=1.0)
    return [one for one in soon if heights[one.index] > max(times, 1 + alone * (max(usual, 1.0) - 1))]


def _height(numbers: list[float], at: int) -> float:
    """A value over the third quartile of the 25 before: the slope of a hump belongs to it. 0 where that has no meaning."""
    before = sorted(numbers[max(0, at - 25) : at])
    level = before[3 * len(before) // 4]
    return numbers[at] / level if level > 0 else 0.0


def _finding(curve: Curve, found: list[Spike]) -> Finding:
    places = [index for index, value in enumerate(curve.values) if value is not None]
    worst = max(found, key=lambda spike: spike.value)
    at = places[worst.index]
    back = curve.steps[places[worst.recovered]] if worst.recovered is not None else None
    numbers = finite(curve.values)
    level = median(numbers[max(0, worst.index - 25) : worst.index])
    also = f", the highest of {len(found)} spikes" if len(found) > 1 else ""
    return Finding(
        f"the {curve.title} leaps from {shown(level)} to {shown(worst.value)} at {curve.unit} {curve.steps[at]}{also}, "
        f"and is back at {curve.unit} {back}",
        Proof.MEASUREMENT,
        (
            Evidence("height of the spike", shown(worst.value), f"about {shown(level)}", curve.source),
            Evidence("spikes", len(found), "0"),
            Evidence("value at the end", shown(numbers[-1])),
        ),
        onset_step=curve.onset(at),
    )
