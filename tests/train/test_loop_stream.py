"""The rows of each step are a pure function of the seed and the step."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer_toys import ToyRows, options

from cognate.errors import UsageError
from cognate.train.stream import Stream

SETTINGS = settings(max_examples=40, deadline=None)


@SETTINGS
@given(st.integers(1, 30), st.integers(0, 2**32), st.sampled_from([(1, 4), (2, 8), (1, 8)]), st.integers(0, 12))
def test_any_step_is_the_same_without_those_before_it(length, seed, sizes, step):
    chosen = options(micro_batch=sizes[0], effective_batch=sizes[1], seed=seed)
    ran = Stream(ToyRows([1] * length), chosen)
    before = [ran.indices(earlier).tolist() for earlier in range(step + 1)]
    assert Stream(ToyRows([1] * length), chosen).indices(step).tolist() == before[step]


@SETTINGS
@given(st.integers(1, 30), st.integers(0, 9), st.sampled_from([1, 2, 4]), st.integers(0, 7))
def test_processes_share_the_batch_of_one(length, seed, world, step):
    chosen = options(micro_batch=2, effective_batch=8, seed=seed)
    rows = ToyRows([1] * length)
    shared = [index for rank in range(world) for index in Stream(rows, chosen, rank, world).indices(step)]
    assert shared == Stream(rows, chosen).indices(step).tolist()


@SETTINGS
@given(st.integers(1, 30), st.integers(0, 9))
def test_each_epoch_sees_each_row_once(length, seed):
    stream = Stream(ToyRows([1] * length), options(micro_batch=2, effective_batch=4, seed=seed))
    seen = [index for step in range(length) for index in stream.indices(step)]
    for epoch in range(4):
        assert sorted(seen[epoch * length : (epoch + 1) * length]) == list(range(length))


def test_epochs_and_seeds_differ():
    orders = {
        tuple(Stream(ToyRows([1] * 20), options(seed=seed)).order(epoch).tolist()) for seed in range(3) for epoch in range(3)
    }
    assert len(orders) == 9


def test_no_rows_are_refused():
    with pytest.raises(UsageError, match="holds no rows"):
        Stream(ToyRows([]), options())
