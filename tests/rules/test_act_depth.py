"""Another depth, or other feeding, in evaluation: what an experiment says of it, and what counts alone may say."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules import Proof, Severity
from cognate.rules.recursion import example_recursion
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
DEPTH, FORCING = RULES["act-depth-train-eval-mismatch"], RULES["eval-teacher-forcing-gap"]


def probe(training: float, evaluation: float, calls: dict | None = None, differs: tuple = ("rounds", "not given", 2)) -> dict:
    name, before, after = differs
    result = {"training": training, "evaluation": evaluation, "by_mode": False, "calls": calls or {}}
    result["differs"] = [{"name": name, "training": before, "evaluation": after}]
    return {"probe": "evaluation_call", "status": "ok", "step": 100, "module": "Net", "result": result}


def forwards(trained: list[int], evaluated: list[int], shape: tuple[int, ...] = (16, 20)) -> list[dict]:
    rows = []
    for index, (count, grad) in enumerate([*((c, True) for c in trained), *((c, False) for c in evaluated)]):
        row = {"kind": "forward", "object": "model#0 Net", "step": 3 * index, "n": index, "grad": grad, "training": grad}
        row |= {"inputs": [{"shape": list(shape)}], "site": {"file": "t.py", "line": 10 if grad else 50}}
        rows.append(row | {"repeats": {"cell": count} if count > 1 else {}})
    return rows


def test_a_loss_that_rises_with_the_depth_of_the_evaluation_is_proved():
    finding = run_rule(DEPTH, Case.of(events=forwards([6] * 9, [2, 2]), probes=[probe(0.2, 1.4, {"cell": [6, 2]})])).findings[0]
    assert finding.proof is Proof.EXPERIMENT and finding.severity is Severity.ERROR and finding.location.line == 50


@pytest.mark.parametrize(("evaluation", "status"), [(0.205, "clear"), (0.15, "clear"), (0.23, "fired")])
def test_a_depth_that_costs_nothing_is_free(evaluation, status):
    case = Case.of(events=forwards([6] * 9, [9, 9]), probes=[probe(0.2, evaluation, {"cell": [6, 9]})])
    outcome = run_rule(DEPTH, case)
    assert outcome.status == status
    assert not outcome.findings or outcome.findings[0].severity is Severity.WARNING


def test_a_loop_over_time_is_as_long_as_its_input():
    asked = probe(0.2, 1.4, {"cell": [20, 1]})
    by_mode = asked | {"result": asked["result"] | {"by_mode": True, "differs": []}}
    assert run_rule(DEPTH, Case.of(events=forwards([20] * 9, [1, 1]), probes=[by_mode])).status == "clear"
    assert run_rule(DEPTH, Case.of(events=forwards([20] * 9, [1, 1]), probes=[asked])).status == "fired"


@pytest.mark.parametrize(
    ("trained", "evaluated", "status"),
    [
        ([6] * 9, [2, 2], "fired"),
        ([6] * 9, [6, 6], "clear"),
        ([6] * 9, [5, 5], "clear"),  # early exit, or a trial
        ([6] * 9, [1, 2, 4, 6], "clear"),  # a curve over depths
        ([4, 5, 6, 7, 4, 5], [2, 2], "clear"),  # random depths
        ([6] * 9, [2], "clear"),  # once
        ([2] * 9, [1, 1], "clear"),  # two views of a sample
    ],
)
def test_counts_alone_decide_where_they_are_constant_and_far_apart(trained, evaluated, status):
    trace = example_recursion([0.7] * 5)
    outcome = run_rule(DEPTH, Case.of(events=forwards(trained, evaluated), trace=trace))
    assert outcome.status == status
    assert not outcome.findings or outcome.findings[0].severity is Severity.WARNING


def test_parts_that_run_side_by_side_are_no_recursion():
    assert run_rule(DEPTH, Case.of(events=forwards([6] * 9, [2, 2]), trace=[])).status == "clear"


@pytest.mark.parametrize(
    ("differs", "evaluation", "status"),
    [
        (("forcing", 1.0, 0.0), 2.0, "fired"),
        (("forcing", 0.5, 0), 2.0, "fired"),
        (("teach", True, False), 2.0, "fired"),
        (("forcing", 1.0, 0.0), 0.5, "clear"),
        (("temperature", 1.0, 0.1), 2.0, "skipped"),
        (("return_all", False, True), 2.0, "skipped"),
    ],
)
def test_a_decoder_on_its_own_outputs(differs, evaluation, status):
    case = Case.of(events=forwards([20] * 9, [20, 20]), probes=[probe(0.3, evaluation, differs=differs)])
    assert run_rule(FORCING, case).status == status


def test_another_depth_is_no_other_feeding():
    case = Case.of(events=forwards([20] * 9, [20, 20]), probes=[probe(0.3, 2.0, {"cell": [6, 2]}, ("forcing", 1.0, 0.0))])
    assert run_rule(FORCING, case).status == "skipped"
