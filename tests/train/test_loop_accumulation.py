"""Gradients of many micro-batches are those of the one big batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from trainer_toys import ToyModel, ToyRows, ToyTask, options, train

from cognate.errors import UsageError
from cognate.train.accumulate import Gradient
from cognate.train.distributed import Group
from cognate.train.stream import Stream

ALONE = Group(0, 1, torch.device("cpu"))


def gradients(rows, micro_batch):
    model, task = ToyModel(dropout=0.0), ToyTask()
    chosen = options(micro_batch=micro_batch, effective_batch=len(rows))
    batches = Stream(rows, chosen).batches(0)
    tokens = sum(map(task.weight, batches))
    loss, sums = Gradient(model, task, chosen, ALONE).add(batches, tokens)
    return [parameter.grad for parameter in model.parameters()], loss, sums


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 30), min_size=8, max_size=8).filter(any), st.sampled_from([1, 2, 4]))
def test_unequal_counts_and_padding_make_no_difference(lengths, micro_batch):
    rows = ToyRows(lengths)
    whole, loss, sums = gradients(rows, 8)
    parts, added_loss, added_sums = gradients(rows, micro_batch)

    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(other, one, rtol=0, atol=1e-6)
    torch.testing.assert_close(added_loss, loss)
    assert added_sums["hits"] == sums["hits"]


def test_a_mean_of_means_would_have_been_seen():
    rows, model, task = ToyRows([1, 30]), ToyModel(dropout=0.0), ToyTask()
    for row in range(2):
        batch = rows.batch([row])
        (task.loss(model, batch)[0] / task.weight(batch) / 2).backward()
    whole, *_ = gradients(rows, 2)
    assert (model.hidden.weight.grad - next(g for g in whole if g.shape == (8, 8))).abs().max() > 1e-4


def test_an_effective_batch_without_a_scored_token_has_no_gradient():
    parts, *_ = gradients(ToyRows([0, 0, 0, 0]), 2)
    assert all(not part.any() for part in parts)


def test_the_number_of_micro_batches_changes_no_loss(tmp_path):
    seen = {}
    for micro in (1, 4):
        records = []
        train(tmp_path / str(micro), dropout=0.0, micro_batch=micro, observers=[records.append])
        seen[micro] = [record["loss"] for record in records if "loss" in record]
    assert seen[1] == pytest.approx(seen[4], abs=1e-5)


@pytest.mark.parametrize("processes, micro, effective", [(1, 3, 64), (3, 8, 64), (2, 64, 64)])
def test_an_effective_batch_that_does_not_divide_is_refused(processes, micro, effective):
    with pytest.raises(UsageError, match="effective_batch is 64: it must be a multiple of"):
        options(micro_batch=micro, effective_batch=effective).accumulate(processes)
