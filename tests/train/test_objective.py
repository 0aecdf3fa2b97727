"""The objective: what trains the halting head, and sums that add up over micro-batches."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cognate.model.config import preset
from cognate.model.model import CognateModel
from cognate.train.batch import IGNORED, Batch
from cognate.train.objective import LanguageModelling


def batch_of(lengths: list[int], vocabulary: int = 512, width: int = 24, seed: int = 0) -> Batch:
    """Right-padded rows of which only the first `lengths` targets are scored."""
    drawn = torch.randint(vocabulary, (len(lengths), width + 1), generator=torch.Generator().manual_seed(seed))
    scored = torch.arange(width)[None] < torch.tensor(lengths)[:, None]
    targets = torch.where(scored, drawn[:, 1:], IGNORED)
    return Batch(drawn[:, :-1], targets, torch.arange(width).expand(len(lengths), -1), None, sum(lengths))


def rows_of(batch: Batch, start: int, end: int) -> Batch:
    targets = batch.targets[start:end]
    return Batch(batch.tokens[start:end], targets, batch.positions[start:end], None, int((targets != IGNORED).sum()))


def gradients(model: CognateModel, loss: Tensor) -> list[Tensor]:
    return [gradient.clone() for gradient in torch.autograd.grad(loss, list(model.parameters()))]


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_the_first_loss_is_that_of_uniform_guessing(name: str) -> None:
    model = CognateModel(preset(name))
    batch = batch_of([24] * 4, model.config.vocabulary)
    found = LanguageModelling().evaluate(model, batch)
    assert abs(found["loss"].item() / batch.scored - math.log(model.config.vocabulary)) < 0.15


@settings(max_examples=12, deadline=None)
@given(lengths=st.lists(st.integers(1, 24), min_size=2, max_size=5), data=st.data())
def test_accumulated_gradients_equal_those_of_the_big_batch(lengths: list[int], data: st.DataObject) -> None:
    model, task = CognateModel(preset("tiny")), LanguageModelling()
    batch = batch_of(lengths)
    cut = data.draw(st.integers(1, len(lengths) - 1))
    whole = gradients(model, task.loss(model, batch)[0] / batch.scored)
    first = gradients(model, task.loss(model, rows_of(batch, 0, cut))[0] / batch.scored)
    second = gradients(model, task.loss(model, rows_of(batch, cut, len(lengths)))[0] / batch.scored)
    for big, one, other in zip(whole, first, second, strict=True):
        torch.testing.assert_close(one + other, big, atol=1e-6, rtol=1e-4)


def test_the_halting_head_learns_from_each_part_of_the_objective() -> None:
    from cognate.train.objective import HaltingWeights

    model = CognateModel(preset("tiny"))
    batch = batch_of([24, 11])
    for parts in (HaltingWeights(0.5, 0, 0), HaltingWeights(0, 0.01, 0), HaltingWeights(0, 0, 0.01)):
        loss, _ = LanguageModelling(parts).loss(model, batch)
        gradient = torch.autograd.grad(loss, model.halting_head.weight)[0]
        assert gradient.abs().max() > 1e-6, parts
    loss, _ = LanguageModelling(HaltingWeights(0, 0, 0)).loss(model, batch)
    assert torch.autograd.grad(loss, model.halting_head.weight)[0].abs().max() == 0


def test_every_parameter_gets_a_gradient() -> None:
    model = CognateModel(preset("tiny"))
    loss, _ = LanguageModelling().loss(model, batch_of([24, 11]))
    loss.backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()] == []


def test_what_is_not_scored_is_not_counted() -> None:
    model, task = CognateModel(preset("tiny")), LanguageModelling()
    batch = batch_of([5, 9])
    found = task.evaluate(model, batch)
    disturbed = Batch(batch.tokens.clone(), batch.targets, batch.positions, None, batch.scored)
    disturbed.tokens[0, 5:] = 3
    again = task.evaluate(model, disturbed)
    assert task.weight(batch) == 14
    for name, value in found.items():
        torch.testing.assert_close(value, again[name], msg=name)
    stopped = sum(found[f"stopped_at_{number}"] for number in range(1, 5))
    assert stopped == 14


def test_a_statistic_of_steps_agrees_with_its_histogram() -> None:
    found = LanguageModelling().evaluate(CognateModel(preset("tiny")), batch_of([24, 24]))
    counts = [found[f"stopped_at_{number}"].item() for number in range(1, 5)]
    assert found["answers_used"].item() == sum(number * count for number, count in enumerate(counts, 1))
    assert found["answers_used_squared"].item() == sum(number**2 * count for number, count in enumerate(counts, 1))
