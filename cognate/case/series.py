"""Statistics over a recorded series: levels, trends, plateaus, spikes. Plain lists in, plain numbers out.

A value of None stands for a missing or non-finite measurement and is passed over. Everything here is robust (medians,
ranks), because a single bad batch must not decide a diagnosis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from statistics import median

Values = Sequence["float | None"]

# A median absolute deviation times this is the standard deviation of a normal distribution (Hampel 1974).
MAD_TO_SIGMA = 1.4826


def finite(values: Values) -> list[float]:
    """The values that are numbers."""
    return [value for value in values if value is not None and math.isfinite(value)]


def block_medians(values: Values, blocks: int) -> list[float]:
    """Medians of at most `blocks` consecutive, near-equal parts of the finite values."""
    numbers = finite(values)
    count = max(1, min(blocks, len(numbers)))
    edges = [len(numbers) * index // count for index in range(count + 1)]
    return [median(numbers[low:high]) for low, high in pairwise(edges) if high > low]


def noise(values: Values) -> float:
    """Standard deviation of the point-to-point noise, whatever the trend: MAD of first differences over √2.

    Differencing removes a slow trend (von Neumann 1941); the MAD ignores jumps.
    """
    numbers = finite(values)
    steps = [after - before for before, after in pairwise(numbers)]
    if not steps:
        return 0.0
    middle = median(steps)
    return MAD_TO_SIGMA * median(abs(step - middle) for step in steps) / math.sqrt(2)


@dataclass(frozen=True)
class Trend:
    """Where a series starts and ends, and its slope a point with a 95 % confidence interval."""

    first: float
    last: float
    slope: float
    low: float
    high: float
    noise: float

    @property
    def falls(self) -> bool:
        """The whole interval of the slope lies below zero."""
        return self.high < 0

    @property
    def rises(self) -> bool:
        """The whole interval of the slope lies above zero."""
        return self.low > 0


def trend(values: Values, blocks: int = 60) -> Trend | None:
    """Theil–Sen slope with the rank-based interval of Sen (1968, JASA 63:1379); None for fewer than three values.

    Long series are reduced to `blocks` medians first; the slope is given in units a block then.
    """
    points = block_medians(values, blocks)
    n = len(points)
    if n < 3:
        return None
    slopes = sorted((points[j] - points[i]) / (j - i) for i in range(n) for j in range(i + 1, n))
    # Variance of Kendall's S under no trend; 1.96 is the two-sided 95 % normal quantile.
    reach = 1.96 * math.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    low = max(0, round((len(slopes) - reach) / 2) - 1)
    high = min(len(slopes) - 1, round((len(slopes) + reach) / 2))
    ends = block_medians(values, 5)
    return Trend(ends[0], ends[-1], median(slopes), slopes[low], slopes[high], noise(values))


def never_changes(values: Values, at_least: int) -> bool:
    """Whether there are `at_least` values and all of them are the same."""
    numbers = finite(values)
    return len(numbers) >= max(1, at_least) and min(numbers) == max(numbers)


def standard_error(values: Values, blocks: int) -> float:
    """Standard error of the median of one of `blocks` blocks: 1.25 σ / √m for m normal values."""
    size = max(1.0, len(finite(values)) / blocks)
    return 1.25 * noise(values) / math.sqrt(size)


def moves(values: Values, share: float = 0.02) -> bool:
    """Whether the level changes by more than `share` of its size and more than noise explains, over ten blocks.

    The medians of ten blocks of pure noise span three standard errors on average, so five are asked for. The noise of
    fewer than twelve values cannot be told from their curve: they must change by a tenth.
    """
    levels = block_medians(values, 10)
    if len(levels) < 2:
        return False
    size = max(abs(level) for level in levels)
    few = len(finite(values)) < 12
    need = max(share, 0.1) * size if few else max(share * size, 5 * standard_error(values, 10))
    return max(levels) - min(levels) > need


def running_minimum(values: Values) -> list[float]:
    """The lowest finite value so far, at each finite value."""
    return list(accumulate(finite(values), min))


def rises_above(values: Values, factor: float, points: int = 1) -> int | None:
    """Index from which the finite values stay above `factor` times their minimum so far, to the end.

    None where they do not, or for fewer than `points` of them. Only meaningful for positive values.
    """
    numbers = finite(values)
    lows = running_minimum(numbers)
    start = len(numbers)
    while start > 0 and numbers[start - 1] > factor * lows[start - 1]:
        start -= 1
    return start if len(numbers) - start >= max(1, points) else None


@dataclass(frozen=True)
class Divergence:
    """A series that left its minimum for good: level at the start, the minimum, the level at the end, onset index."""

    start: float
    minimum: float
    end: float
    onset: int


def divergence(values: Values, factor: float = 2.0, tail: float = 0.15) -> Divergence | None:
    """Find a positive series that ends above `factor` times its minimum, about as high as it began, and stays there.

    Judged on medians of twentieths, so that a spike that recovers is none; it must hold for the last `tail` of the
    series. A rise to five times the minimum counts from half the starting level on. The onset is an index into the
    finite values.
    """
    numbers = finite(values)
    if len(numbers) < 6 or min(numbers) < 0:
        return None
    levels = block_medians(numbers, 20)
    onset = rises_above(levels, factor, max(3, math.ceil(tail * len(levels))))
    start, end = max(levels[0], median(numbers[:3])), levels[-1]
    # A run that returns to where it began has diverged too (it guesses again): hence the 10 % of leeway.
    if onset is None or end < (0.5 if end > 5 * min(levels) else 0.9) * start:
        return None
    return Divergence(numbers[0], min(levels), end, len(numbers) * onset // len(levels))


@dataclass(frozen=True)
class Spike:
    """A value far above its surroundings: index, value, and the index at which the series was back, or None."""

    index: int
    value: float
    recovered: int | None


def spikes(values: Values, z: float = 8.0, window: int = 25) -> list[Spike]:
    """Values more than `z` robust standard deviations above the median of the `window` values before (Hampel 1974)."""
    numbers = finite(values)
    found: list[Spike] = []
    index = 5
    while index < len(numbers):
        before = numbers[max(0, index - window) : index]
        middle = median(before)
        sigma = MAD_TO_SIGMA * median(abs(value - middle) for value in before)
        limit = middle + z * max(sigma, 1e-3 * abs(middle), 1e-12)
        if numbers[index] <= limit:
            index += 1
            continue
        back = next((later for later in range(index + 1, len(numbers)) if numbers[later] <= limit), None)
        peak = max(range(index, back or len(numbers)), key=numbers.__getitem__)
        found.append(Spike(peak, numbers[peak], back))
        index = back if back is not None else len(numbers)
    return found


@dataclass(frozen=True)
class LevelChange:
    """The most likely place at which the level of a series changes: index of the first new value, both levels."""

    index: int
    before: float
    after: float


def lasting_jump(values: Values, share: float = 0.1, sigmas: float = 8.0) -> LevelChange | None:
    """The sharpest rise of a positive series from one level to another that it keeps, or None where it has none.

    The levels are medians of a twentieth of the series (five values at least) on either side; they differ by `share` of the lower
    and by `sigmas` of the noise of such a median; what follows keeps half of the rise to the end, for 15 % of the series.
    """
    fine = finite(values)
    stride = max(1, len(fine) // 400)
    # A long series by the medians of its stretches: to the place of a jump the rest adds nothing.
    numbers = [median(fine[low : low + stride]) for low in range(0, len(fine), stride)] if stride > 1 else fine
    width = max(5, len(numbers) // 20)
    if len(numbers) < 6 * width or min(numbers) <= 0:
        return None
    levels = [median(numbers[low : low + width]) for low in range(len(numbers) - width + 1)]
    rises = {at: levels[at] - levels[at - width] for at in range(width, len(numbers) - max(width, len(numbers) * 15 // 100))}
    at = max(rises, key=rises.__getitem__)
    before, rise = levels[at - width], rises[at]
    error = 1.25 * noise(numbers) / math.sqrt(width)
    kept = min(levels[at:]) >= before + 0.5 * rise and levels[-1] >= before + 0.5 * rise
    # A ramp is no jump: half a window to either side the level is already, or still, what it is.
    sharp = levels[min(len(levels) - 1, at + width)] < before + 2 * rise and levels[max(0, at - 2 * width)] > before - rise
    if rise <= max(share * before, sigmas * error) or not kept or not sharp:
        return None
    place = max(range(at - width + 1, at + width), key=lambda index: numbers[index] - numbers[index - 1])
    return LevelChange(place * stride, before, median(numbers[place:]))
