"""Half precision that loses gradients, half precision that keeps them, and none at all."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.precision import precision
from cognate.observe.probes.replay import NotRun


def net():
    return nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 1))


def test_gradients_too_small_for_float16_are_lost(bench):
    bench = bench()
    model = nn.Sequential(net(), nn.Linear(1, 1)).half()
    with torch.no_grad():
        model[1].weight.mul_(1e-5)
    bench.window(model, lambda out: F.mse_loss(out, torch.zeros_like(out)), torch.randn(32, 8).half() * 0.1)
    result = bench.probe(precision)
    assert result["dtype"] == "float16" and not result["autocast"] and result["lost"] > 0.5 and result["nonfinite"] == 0


def test_bfloat16_has_the_range_of_float32(bench):
    bench = bench()
    model = nn.Sequential(net(), nn.Linear(1, 1)).bfloat16()
    with torch.no_grad():
        model[1].weight.mul_(1e-5)
    bench.window(model, lambda out: F.mse_loss(out, torch.zeros_like(out)), torch.randn(32, 8).bfloat16())
    assert bench.probe(precision)["lost"] < 0.01


def test_autocast_is_repeated_as_it_was(bench):
    bench = bench()
    x, y = torch.randn(32, 8), torch.randn(32, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        bench.window(net(), lambda out: F.mse_loss(out.float(), y), x)
    result = bench.probe(precision)
    assert result["autocast"] and result["dtype"] == "bfloat16" and result["lost"] < 0.01


def test_single_precision_is_not_compared_with_itself(bench):
    bench = bench()
    bench.window(net(), lambda out: F.mse_loss(out, torch.zeros(32, 1)), torch.randn(32, 8))
    with pytest.raises(NotRun, match="single precision"):
        bench.probe(precision)
