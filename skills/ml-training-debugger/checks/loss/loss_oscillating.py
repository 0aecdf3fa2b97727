"""The training loss swings instead of settling."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import sin, sqrt
from statistics import median

from cognate.case.curves import loss_curves, shown
from cognate.case.series import finite
from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Proof, Severity, Skip, rule

BLOCKS = 40


@rule(
    code="LOSS124",
    name="loss-oscillating",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    sources={
        "turns": "AUTOTRAINER counts swings in a fifth of the points; eight of at most forty levels are that share",
        "swing": "our calibration: levels that differ by half of the usual level; its bound of 0.03 is for accuracies",
        "sigmas": "the median of a block of noise strays by more than six of its standard errors once in 10^8",
    },
    fires=Example(metrics=[{"step": s, "loss": 2.0 + 1.5 * sin(s / 6) + 0.05 * (s * 7 % 5 - 2)} for s in range(400)]),
    quiet=Example(metrics=[{"step": s, "loss": 2.0 / (1 + s / 40) + 0.3 * (s * 7 % 5 - 2) / 2} for s in range(400)]),
)
def loss_oscillating(case: Case, *, turns: int = 8, swing: float = 0.5, sigmas: float = 6.0) -> Iterator[Finding | Clear | Skip]:
    """The training loss oscillates: it swings up and down by much more than the noise of its batches explains.

    Usual reasons: a learning rate at the edge of stability, data in an order that repeats, a model or an optimizer that is built
    anew again and again. Losses that play against each other (GAN) and batches that differ in difficulty from one to the next are
    not meant.
    """
    curves = [curve for curve in loss_curves(case) if len(finite(curve.values)) >= 5 * 12]
    if not curves:
        yield Skip("fewer than 60 values of the training loss are known", "train longer, or log the loss more often")
    if any(curve.concurrent for curve in curves):
        yield Clear("several losses alternate and play against each other: each has to swing")
        return
    for curve in curves:
        numbers = finite(curve.values)
        count = min(BLOCKS, len(numbers) // 5)
        blocks = [numbers[len(numbers) * i // count : len(numbers) * (i + 1) // count] for i in range(count)]
        found = _turns(blocks, swing, sigmas)
        if found >= turns:
            levels = ", ".join(shown(median(block)) for block in blocks)
            yield Finding(
                f"the {curve.title} oscillates: it turns {found} times in {count} levels",
                Proof.MEASUREMENT,
                (Evidence("levels", levels, "settling", curve.source),),
                onset_step=curve.onset(0),
            )
        else:
            yield Clear(f"{curve.title}: {found} turns in {count} levels")


def _turns(blocks: list[list[float]], swing: float, sigmas: float) -> int:
    """Changes of direction between levels that lie further apart than `swing` of the usual level and the noise of both."""
    levels = [median(block) for block in blocks]
    errors = [_error(block, level) for block, level in zip(blocks, levels, strict=True)]
    usual = median(abs(level) for level in levels)
    kept = [0]
    for index in range(1, len(levels)):
        apart = abs(levels[index] - levels[kept[-1]])
        if apart > max(swing * usual, sigmas * sqrt(errors[index] ** 2 + errors[kept[-1]] ** 2)):
            kept.append(index)
    signs = [levels[b] > levels[a] for a, b in pairwise(kept)]
    return sum(a != b for a, b in pairwise(signs))


def _error(block: list[float], level: float) -> float:
    """Standard error of the median of a block: 1.25 σ / √n, with σ from the median absolute deviation."""
    return 1.4826 * median(abs(value - level) for value in block) * 1.25 / sqrt(len(block))
