"""What the trace says of softmaxes: how sharp they are, and what is left at places that were masked by a number."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.live.facts import moments
from cognate.observe.live.optrace import OpTrace

TIME = 12
LATER = torch.ones(TIME, TIME).triu(1).bool()


def traced(function):
    """The nodes of what `function` does, traced by the real mode."""
    recorder = SimpleNamespace(inside=0, active=True, spent=0.0, step=1, sites=SimpleNamespace(here=lambda depth: None))
    recorder.failed = lambda where, error: pytest.fail(f"{where}: {error!r}")
    torch.manual_seed(0)
    with OpTrace(recorder, SimpleNamespace(stack=[], names={}), {}, {}) as mode:
        function()
    return mode.nodes


def scores(scale=1.0):
    return (torch.randn(2, 3, TIME, TIME) * scale).requires_grad_()


def soft(function):
    return [node for node in traced(function) if "soft" in node][-1]["soft"]


@pytest.mark.parametrize(
    ("mask", "value", "how"),
    [
        (lambda s: s.masked_fill(LATER, -4.0), -4.0, "filled"),
        (lambda s: torch.where(LATER, -4.0, s), -4.0, "filled"),
        (lambda s: s.where(~LATER, torch.tensor(-4.0)), -4.0, "filled"),
        (lambda s: s + LATER.float() * -4.0, -4.0, "added"),
        (lambda s: s - LATER.float() * 4.0, -4.0, "added"),
        (lambda s: s * (~LATER), 0.0, "multiplied"),
        (lambda s: s.masked_fill(LATER, -4.0).float().clone() / 2.0, -4.0, "filled"),
    ],
)
def test_what_a_finite_mask_leaves_is_measured(mask, value, how):
    found = soft(lambda: F.softmax(mask(scores()), dim=-1))["masked"]
    assert (found["value"], found["how"]) == (value, how)
    assert 1e-3 < found["left_mean"] < found["left"] < 1.0


@pytest.mark.parametrize("value", [-1e4, -1e9, torch.finfo(torch.float32).min])
def test_a_number_far_below_the_scores_leaves_nothing(value):
    assert soft(lambda: scores().masked_fill(LATER, value).softmax(-1))["masked"]["left"] == 0.0


def test_rows_that_are_masked_whole_are_not_counted():
    rows = torch.zeros(TIME, TIME).bool()
    rows[3] = True
    assert "masked" not in soft(lambda: scores().masked_fill(rows, -1e9).softmax(-1))


@pytest.mark.parametrize("shift", [lambda: torch.randn(TIME, TIME), lambda: -torch.arange(TIME).float().expand(TIME, TIME)])
def test_a_table_or_a_slope_is_no_mask(shift):
    assert "masked" not in soft(lambda: (scores() + shift()).softmax(-1))


def test_infinity_masks_whatever_the_scores_are():
    assert "masked" not in soft(lambda: scores().masked_fill(LATER, -math.inf).softmax(-1))


def test_sharpness_of_open_places():
    flat, sharp = (soft(lambda s=s: scores(s).masked_fill(LATER, -1e9).softmax(-1)) for s in (0.01, 300.0))
    assert flat["entropy"] > 0.99 and flat["most"] < 0.1 and flat["rows"] == 2 * 3 * (TIME - 3)
    assert sharp["top"] > 0.95 and sharp["entropy"] < 0.05 and sharp["most"] > 300


def test_fused_attention_is_computed_as_it_masks():
    query = torch.randn(2, 3, TIME, 4, requires_grad=True)
    bias = LATER.float() * -4.0
    causal = soft(lambda: F.scaled_dot_product_attention(query, query, query, is_causal=True))
    as_bool = soft(lambda: F.scaled_dot_product_attention(query, query, query, ~LATER))
    added = soft(lambda: F.scaled_dot_product_attention(query, query, query, attn_mask=bias))
    assert causal == as_bool and "masked" not in causal
    assert added["masked"]["value"] == -4.0 and added["masked"]["left"] > 1e-3


@pytest.mark.parametrize("mask", [None, LATER, LATER.float() * -4.0, LATER.expand(6, TIME, TIME)])
def test_torchs_own_attention_is_followed_too(mask):
    layer = nn.MultiheadAttention(12, 3, batch_first=True)
    x = torch.randn(2, TIME, 12)
    padded = torch.zeros(2, TIME).bool()
    padded[0, -2:] = True
    found = soft(lambda: layer(x, x, x, attn_mask=mask, key_padding_mask=padded if mask is None else None))
    assert found["rows"] > 0 and 0.0 < found["entropy"] <= 1.0
    assert ("masked" in found) == (mask is not None and mask.is_floating_point())


def test_layers_have_their_spread_and_saturating_functions_their_ends():
    weight = torch.randn(8, 4, requires_grad=True)
    nodes = traced(lambda: torch.tanh(F.linear(torch.randn(64, 4) * 100.0, weight)))
    layers = [node for node in nodes if "std" in node]
    assert [node["op"] for node in layers] == ["linear", "tanh"]
    assert layers[0]["std"] > 50 and nodes[-1]["pinned"] > 0.9
    assert traced(lambda: torch.sigmoid(scores()))[-1]["pinned"] == 0.0


def test_moments_are_of_numbers_that_can_be_read():
    found = moments(torch.tensor([[3.0, -1.0], [3.0, -1.0]]))
    assert found == {"mean": 1.0, "std": 2.0, "most": 3.0}
    assert moments(torch.full((3,), math.nan)) == {}
    assert moments(torch.arange(3)) == moments(torch.empty(0)) == moments(torch.empty(3, device="meta")) == {}
