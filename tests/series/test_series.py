import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognate.case import series

NUMBERS = st.floats(-1e6, 1e6, allow_nan=False)
VALUES = st.lists(st.one_of(st.none(), NUMBERS, st.just(math.nan), st.just(math.inf)), max_size=60)


@given(VALUES)
def test_every_helper_takes_any_series(values):
    series.block_medians(values, 7)
    series.trend(values)
    series.noise(values)
    series.moves(values)
    series.spikes(values)
    series.lasting_jump(values)
    series.divergence(values)
    series.rises_above(values, 2.0)
    series.never_changes(values, 3)


@given(st.lists(NUMBERS, min_size=1, max_size=80), st.integers(1, 30))
def test_block_medians_stay_within_the_data_and_keep_its_order(values, blocks):
    medians = series.block_medians(values, blocks)
    assert len(medians) == min(blocks, len(values))
    assert min(values) <= min(medians) and max(medians) <= max(values)
    assert series.block_medians(sorted(values), blocks) == sorted(series.block_medians(sorted(values), blocks))


@given(NUMBERS, st.integers(1, 20))
def test_a_repeated_value_never_changes(value, count):
    assert series.never_changes([value] * count + [None], count)
    assert not series.never_changes([value] * count, count + 1)
    assert not series.never_changes([value] * count + [value + 1.0], 1)


@given(st.lists(NUMBERS, min_size=1, max_size=50))
def test_running_minimum_falls_to_the_minimum(values):
    lows = series.running_minimum(values)
    assert lows[-1] == min(values)
    assert lows == sorted(lows, reverse=True)


@given(st.floats(0.1, 10.0), st.integers(10, 100))
def test_trend_of_a_line_is_its_slope(slope, count):
    rising = series.trend([slope * index for index in range(count)], blocks=count)
    assert rising is not None and rising.rises and not rising.falls
    assert rising.slope == pytest.approx(slope)
    falling = series.trend([-slope * index for index in range(count)], blocks=count)
    assert falling is not None and falling.falls


def zigzag(count, level=1.0, width=0.1):
    """Deterministic noise without a trend."""
    return [level + width * math.sin(37.0 * index) for index in range(count)]


def test_noise_is_that_of_the_points_and_not_of_the_trend():
    flat = series.noise(zigzag(200))
    sloped = series.noise([value + 0.5 * index for index, value in enumerate(zigzag(200))])
    assert flat == pytest.approx(sloped, rel=1e-6)
    assert 0.02 < flat < 0.2


def test_trendless_noise_neither_rises_nor_falls():
    found = series.trend(zigzag(300))
    assert found is not None and not found.rises and not found.falls
    assert not series.moves(zigzag(300, width=0.3))


def test_moves_sees_a_small_change_without_noise_and_a_large_one_in_noise():
    assert series.moves([1.0 - 0.001 * index for index in range(100)])
    assert series.moves([2.0 / (1 + index / 50) + value for index, value in enumerate(zigzag(200, 0.0))])
    assert not series.moves([1.0, 1.01, 0.99])


def test_rises_above_gives_the_index_from_which_it_stays():
    assert series.rises_above([4.0, 2.0, 1.0, 5.0, 1.5, 2.5, 3.0], 2.0) == 5
    assert series.rises_above([4.0, 2.0, 1.0, 5.0, 1.5], 2.0) is None
    assert series.rises_above([4.0, 1.0, 3.0], 2.0, points=2) is None


def test_divergence_is_not_a_spike_that_recovers():
    falling = [2.0 / (1 + index / 20) for index in range(200)]
    assert series.divergence(falling) is None
    spiked = [*falling[:100], 90.0, 70.0, 40.0, *falling[103:]]
    assert series.divergence(spiked) is None
    gone = [*falling[:150], *(0.3 * 1.1**index for index in range(50))]
    found = series.divergence(gone)
    assert found is not None and 120 <= found.onset <= 190 and found.end > 10


def test_divergence_needs_positive_values_and_the_height_of_the_start():
    assert series.divergence([-1.0, 2.0, 3.0, 5.0, 8.0, 9.0, 20.0]) is None
    creeping = [2.0 / (1 + index) for index in range(50)] + [0.1] * 50
    assert series.divergence(creeping) is None


def test_spikes_know_whether_they_recovered():
    calm = zigzag(60, 1.0, 0.02)
    once = [*calm[:30], 9.0, 5.0, *calm[32:]]
    (spike,) = series.spikes(once)
    assert (spike.index, spike.value, spike.recovered) == (30, 9.0, 32)
    (last,) = series.spikes([*calm, 9.0])
    assert last.recovered is None
    assert series.spikes(calm) == []


def test_a_lasting_jump_is_sharp_and_kept():
    jump = series.lasting_jump([*zigzag(40, 1.0), *zigzag(40, 3.0)])
    assert jump is not None and jump.index == 40
    assert jump.after - jump.before == pytest.approx(2.0, abs=0.1)
    assert series.lasting_jump(zigzag(80)) is None
    assert series.lasting_jump([*zigzag(40, 1.0), *zigzag(10, 3.0), *zigzag(40, 1.0)]) is None
    assert series.lasting_jump([1.0 + 0.02 * index for index in range(100)]) is None
    assert series.lasting_jump([*zigzag(40, 1.0), *(0.5 + 2.5 / (1 + index / 10) for index in range(80))]) is None
