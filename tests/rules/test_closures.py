"""A step with a closure: one that computes its gradients inside, and one that is handed over for form's sake."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def loop(order: list[str], carried: bool) -> Case:
    """Eight windows of the calls `order`; each step was given a closure."""
    rows, number = [], 0
    for step in range(8):
        for name in order:
            number += 1
            row = {"kind": "call", "step": step, "n": number, "name": name, "object": "optimizer#0"}
            row["site"] = {"file": "train.py", "line": 10 + order.index(name), "function": "fit"}
            rows.append(row | ({"closure": True, "carried": carried and step > 0, "grads": "present"} if name == "step" else {}))
    return Case.of(events=rows)


@pytest.mark.parametrize("name", ["grad-not-zeroed", "grad-clip-ineffective", "grad-zeroed-before-step"])
def test_what_a_closure_does_inside_the_step_is_not_judged_by_order(name):
    inside = loop(["step", "zero_grad", "backward", "clip_grad_norm_"], carried=True)

    assert run_rule(RULES[name], inside).status != "fired"


def test_a_closure_for_forms_sake_hides_no_missing_zero_grad():
    assert run_rule(RULES["grad-not-zeroed"], loop(["backward", "step"], carried=True)).status == "fired"


def test_a_closure_for_forms_sake_hides_no_misplaced_clip():
    late = loop(["zero_grad", "backward", "step", "clip_grad_norm_"], carried=False)

    assert run_rule(RULES["grad-clip-ineffective"], late).status == "fired"
