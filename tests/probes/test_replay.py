"""From a forward to its loss again on a copy: the ways that are found, and what is said where there is none."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.determinism import determinism
from cognate.observe.probes.gradient_reach import gradient_reach
from cognate.observe.probes.replay import NotRun
from cognate.observe.probes.small_step import small_step


def classifier(*middle):
    return nn.Sequential(nn.Linear(5, 8), *middle, nn.Linear(8, 3))


def classify(made, model):
    made.window(model, lambda out: F.cross_entropy(out, torch.arange(8) % 3), torch.randn(8, 5))


@pytest.mark.parametrize(
    "loss_of",
    [
        lambda out: F.mse_loss(out.squeeze(-1), torch.ones(6)),
        lambda out: F.binary_cross_entropy_with_logits(out.reshape(-1), torch.ones(6)),
        lambda out: F.l1_loss(input=out[:, 0], target=torch.ones(6), reduction="none").mean(),
        lambda out: nn.HuberLoss()(out, torch.ones(6, 1)),
    ],
)
def test_the_way_from_output_to_loss_is_found(bench, loss_of):
    made = bench()
    made.window(nn.Linear(5, 1), loss_of, torch.randn(6, 5))
    found = made.probe(small_step)
    assert found["before"] > found["after"]


def test_a_loss_that_cannot_be_followed_is_said(bench):
    made = bench()
    made.window(nn.Linear(5, 1), lambda out: F.mse_loss(out.exp().cumsum(0), torch.ones(6, 1)), torch.randn(6, 5))
    with pytest.raises(NotRun, match="could not be recognised"):
        made.probe(gradient_reach)
    made = bench()
    made.window(nn.Linear(5, 1), lambda out: (out**2).mean(), torch.randn(6, 5))
    with pytest.raises(NotRun, match=r"no torch\.nn\.functional loss"):
        made.probe(gradient_reach)


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo):
        raise TypeError("holds a lock")


def test_a_model_that_cannot_be_copied_is_said(bench):
    made = bench()
    classify(made, Uncopyable(5, 3))
    with pytest.raises(NotRun, match=r"cannot be copied .*holds a lock"):
        made.probe(determinism)


def test_hooks_of_the_scripts_own_are_not_set_off(bench):
    made, model, seen = bench(), classifier(nn.ReLU()), []
    model[1].register_forward_hook(lambda *args: seen.append(1))
    classify(made, model)
    rows = made.results()
    assert len(seen) == 1
    assert "ReLU carries a hook of the script's own" in rows["determinism"]["reason"]
    made, model = bench(), classifier()
    nn.utils.parametrizations.weight_norm(model[0])
    nn.utils.spectral_norm(model[1])  # made by torch: part of the computation
    classify(made, model)
    assert made.results()["gradient_reach"]["status"] == "ok"


class KeepsItsOutput(nn.Linear):
    def forward(self, x):
        self.seen = [super().forward(x)]
        return self.seen[0]


def test_a_model_that_keeps_results_of_its_forward_is_copied_all_the_same(bench):
    made, model = bench(), KeepsItsOutput(5, 3)
    classify(made, model)
    assert made.probe(gradient_reach)["present"] == 2
    assert model.seen[0].grad_fn is not None
