"""What the recorder writes down about optimizers, schedules and clipping."""

from __future__ import annotations

import pytest

SCRIPT = """
    from functools import partial

    import torch
    from torch import nn


    def ramp(step, *, num_warmup_steps, num_training_steps):
        return min(1.0, (step + 1) / num_warmup_steps)


    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
    slow = {"params": model[0].parameters(), "lr": 1e-5}
    optimizer = torch.optim.AdamW([slow, {"params": model[2].parameters()}], lr=1e-2, betas=(0.8, 0.95))
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(ramp, num_warmup_steps=4, num_training_steps=12))
    x = torch.randn(16, 4)
    for step in range(12):
        optimizer.zero_grad()
        nn.functional.mse_loss(model(x), x[:, :1]).backward()
        nn.utils.clip_grad_value_(model.parameters(), 0.01)
        optimizer.step()
        scheduler.step()
"""


@pytest.fixture(scope="module")
def case(new_patient):
    run = new_patient(SCRIPT).observed()
    assert run.code == 0 and run.complaints == [] and run.case.info["integrity"]["errors"] == []
    return run.case


def test_the_plan_of_a_lambda_is_that_of_its_partial(case):
    (schedule,) = case.events("schedules")[0]["schedules"]
    assert schedule["plan"] == {"num_warmup_steps": 4, "num_training_steps": 12} and schedule["steps"] == 12


def test_betas_are_among_the_numbers_of_a_group(case):
    assert [group["betas"] for group in case.model["optimizers"][0]["groups"]] == [[0.8, 0.95]] * 2


def test_clipping_by_value_is_told_from_clipping_the_norm(case):
    assert all(row["clip"] == 0.01 and row["clip_value"] is True for row in case.metrics)


def test_how_far_each_tensor_moved(case):
    rows = [row["update_ratio"] for row in case.layers]
    assert rows and all(set(row) == {"0.weight", "0.bias", "2.weight", "2.bias"} for row in rows)
    assert all(row["2.weight"] > 100 * row["0.weight"] > 0 for row in rows)


def test_the_learning_rate_experiment_ran(case):
    result = case.probe("lr_range")[0]["result"]
    assert result["optimizer"] == "AdamW" and len(result["losses"]["1"]) == result["steps"] + 1
