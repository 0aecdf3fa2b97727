"""Masks that do not mask and attention that is one-hot; and large negative numbers and sharp heads, which are neither."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules import Severity
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
SITE = {"file": "model.py", "line": 12, "function": "forward"}


def trace(*softs, op="softmax", mixes=True):
    """One softmax in each of the traced windows, masked before it and multiplied with values after it."""
    rows = []
    for window, soft in zip((1, 40, 160), softs, strict=False):
        common = {"w": window, "shapes": [[4, 2, 9, 9]], "shape": [4, 2, 9, 9], "g": True}
        rows += [
            common | {"i": 0, "op": "masked_fill", "in": [], "site": SITE},
            common | {"i": 1, "op": op, "in": [0], "soft": soft, "m": "attention", "site": SITE | {"line": 13}},
            common | {"i": 2, "op": "matmul" if mixes else "nll_loss", "in": [1]},
            {"w": window, "root": 2},
        ]
    return rows


def judged(name, *softs, **more):
    outcome = run_rule(RULES[name], Case.of(trace=trace(*softs, **more)))
    return outcome.findings[0] if outcome.findings else outcome.status


def masked(value, left, mean=None, how="filled"):
    mask = {"value": value, "how": how, "at": 0, "left": left, "left_mean": left / 2 if mean is None else mean}
    return {"rows": 100, "top": 0.4, "entropy": 0.8, "most": 3.0, "masked": mask}


@pytest.mark.parametrize(
    ("soft", "severity"),
    [
        (masked(0.0, 0.99, 0.84), Severity.ERROR),
        (masked(0.0, 0.9, how="multiplied"), Severity.ERROR),
        (masked(1e-9, 0.9), Severity.ERROR),
        (masked(-10.0, 1.4e-3, 1.4e-4, how="added"), Severity.WARNING),
    ],
)
def test_what_a_mask_leaves_decides_how_bad_it_is(soft, severity):
    found = judged("model-finite-mask-bias", soft)
    assert found.severity is severity and (found.location.line, found.onset_step) == (12, 0)


def test_a_mask_that_is_overcome_later_is_dated():
    assert judged("model-finite-mask-bias", masked(-20.0, 1e-8), masked(-20.0, 1e-3)).onset_step == 40


@pytest.mark.parametrize("value", [-1e4, -1e9, -65504.0, -100.0])
def test_numbers_far_below_the_scores_are_fine(value):
    assert judged("model-finite-mask-bias", masked(value, 0.0)) == "clear"


def test_masks_of_infinity_leave_no_trace():
    assert judged("model-finite-mask-bias", {"rows": 100, "top": 0.4, "entropy": 0.8, "most": 3.0}) == "clear"


def sharp(top, most, rows=100):
    return {"rows": rows, "top": top, "entropy": 1 - top, "most": most}


def test_attention_that_is_one_hot_from_the_start_is_an_error():
    found = judged("model-attn-logit-growth", sharp(0.96, 190.0), sharp(0.98, 380.0))
    assert found.severity is Severity.ERROR and found.onset_step == 0
    assert judged("model-attn-logit-growth", sharp(0.96, 190.0), op="scaled_dot_product_attention", mixes=False).onset_step == 0


def test_logits_that_double_and_double_are_a_warning():
    found = judged("model-attn-logit-growth", sharp(0.2, 2.0), sharp(0.6, 20.0), sharp(0.9, 90.0))
    assert found.severity is Severity.WARNING and found.onset_step == 40


@pytest.mark.parametrize(
    "softs",
    [
        (sharp(0.2, 2.0), sharp(0.9, 14.0), sharp(0.97, 22.0)),  # a head that has found its place
        (sharp(0.3, 3.0), sharp(0.5, 60.0), sharp(0.5, 70.0)),  # one outlier in a flat attention
    ],
)
def test_sharp_heads_with_moderate_logits_are_healthy(softs):
    assert judged("model-attn-logit-growth", *softs) == "clear"


def test_classes_and_small_samples_are_not_judged():
    assert judged("model-attn-logit-growth", sharp(0.99, 99.0), mixes=False) == "skipped"
    assert judged("model-attn-logit-growth", sharp(0.99, 99.0, rows=6)) == "skipped"
