"""A batch that a narrow model cannot learn by heart and a plain wide network can."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.replay import NotRun
from cognate.observe.probes.wider_network import wider_network


def sized(hidden, inputs=12, outputs=7):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


def classified(made, model):
    made.window(model, lambda out: F.cross_entropy(out, torch.arange(42) % 7), torch.randn(42, 12), step=40)


def test_one_hidden_unit_cannot_tell_seven_classes(bench):
    made = bench()
    model = sized(1)
    before = [p.detach().clone() for p in model.parameters()]
    classified(made, model)
    found = made.probe(wider_network)
    assert found["narrow"] == {"0.weight": 1}
    assert found["model"]["last"] > 0.6 * found["model"]["first"]
    assert found["wide"]["last"] < 0.1 * found["wide"]["first"]
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_eight_units_are_enough_for_a_few_samples(bench):
    made = bench()
    made.window(sized(8), lambda out: F.cross_entropy(out, torch.arange(10) % 7), torch.randn(10, 12), step=40)
    assert made.probe(wider_network)["model"]["last"] < 0.3


@pytest.mark.parametrize(
    ("model", "loss_of", "given", "reason"),
    [
        (sized(16), lambda out: F.cross_entropy(out, torch.arange(6)), torch.randn(6, 12), "is narrow"),
        (sized(2, 12, 12), lambda out: F.mse_loss(out, torch.randn(6, 12)), torch.randn(6, 12), "bottleneck is the point"),
        (sized(2), lambda out: F.poisson_nll_loss(out, torch.ones(6, 7)), torch.randn(6, 12), "one loss"),
    ],
)
def test_where_the_question_makes_no_sense_it_is_not_asked(bench, model, loss_of, given, reason):
    made = bench()
    made.window(model, loss_of, given, step=40)
    with pytest.raises(NotRun, match=reason):
        made.probe(wider_network)
