"""The same batch by the arguments and settings of training and of evaluation; and with running statistics of its own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.evaluation_call import evaluation_call
from cognate.observe.probes.mode_gap import mode_gap
from cognate.observe.probes.replay import NotRun


class Rounds(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out, self.rounds = nn.Linear(5, 5), nn.Linear(5, 3), 4

    def forward(self, x, limit=None, quick=False):
        for _ in range(1 if quick and not self.training else limit or self.rounds):
            x = x + torch.tanh(self.cell(x))
        return self.out(x)


def evaluated(made, model, *args, **kwargs):
    with torch.no_grad():
        made.session.forward_done(model, args, kwargs, model(*args, **kwargs))


def trained(made, model):
    labels = torch.arange(6) % 3
    made.window(model, lambda out: F.cross_entropy(out, labels), torch.randn(6, 5))
    return made.results()["evaluation_call"]


def test_another_argument_in_evaluation_is_tried_on_the_training_batch(bench):
    made, model = bench(), Rounds()
    evaluated(made, model, torch.randn(6, 5), limit=1)
    found = trained(made, model)["result"]
    assert found["differs"] == [{"name": "limit", "training": "not given", "evaluation": 1}]
    assert found["calls"] == {"cell": [4, 1]}
    assert found["training"] != found["evaluation"]


def test_another_setting_in_evaluation_is_tried_and_the_model_left_alone(bench):
    made, model = bench(), Rounds()
    model.rounds = 2
    evaluated(made, model, torch.randn(9, 5))
    model.rounds = 4
    found = trained(made, model)["result"]
    assert found["differs"] == [{"name": "rounds", "training": 4, "evaluation": 2}] and found["calls"] == {"cell": [4, 2]}
    assert model.rounds == 4 and not model._forward_pre_hooks and not model.cell._forward_pre_hooks


def test_a_depth_that_hangs_on_the_mode_is_seen(bench):
    made, model = bench(), Rounds()
    model.eval()
    evaluated(made, model, torch.randn(6, 5), quick=True)
    model.train()
    made.window(model, lambda out: F.cross_entropy(out, torch.arange(6) % 3), torch.randn(6, 5), quick=True)
    found = made.results()["evaluation_call"]["result"]
    assert found["by_mode"] and found["calls"] == {"cell": [4, 1]} and found["differs"] == []


def test_where_both_call_alike_nothing_is_tried(bench):
    made, model = bench(), Rounds()
    evaluated(made, model, torch.randn(6, 5))
    assert "alike" in trained(made, model)["reason"]
    made, model = bench(), Rounds()
    assert "no evaluation" in trained(made, model)["reason"]


def test_evaluation_with_more_tensors_is_left_alone(bench):
    made, model = bench(), Rounds()
    evaluated(made, model, torch.randn(6, 5), torch.tensor(2), True)
    assert "more tensors" in trained(made, model)["reason"]


def test_stale_statistics_are_told_from_what_the_mode_does(bench):
    made = bench()
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    model[1].running_mean.fill_(30.0)
    made.window(model, lambda out: F.cross_entropy(out, torch.arange(6) % 3), torch.randn(6, 5))
    found = made.probe(mode_gap)
    assert found["eval"] > found["recalibrated"] + 0.5
    assert abs(found["recalibrated"] - found["train"]) < 0.2
    assert found["momenta"] == [0.1] and found["updated"] == 1
    assert model[1].momentum == 0.1 and float(model[1].running_mean.min()) > 20


def test_a_mode_without_batch_statistics_has_no_recalibration(bench):
    made = bench()
    model = nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    made.window(model, lambda out: F.cross_entropy(out, torch.arange(6) % 3), torch.randn(6, 5))
    assert "recalibrated" not in made.probe(mode_gap)
    with pytest.raises(NotRun):
        made.probe(evaluation_call)
