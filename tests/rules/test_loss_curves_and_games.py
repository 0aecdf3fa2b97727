"""Curves that swing, generators and critics, metrics beside the loss."""

from __future__ import annotations

from math import sin
from random import Random

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def status(name, **parts):
    return run_rule(RULES[name], Case.of(**parts))


def curve(function, count=400):
    return [{"step": step, "loss": function(step)} for step in range(count)]


def test_noise_and_one_spike_are_no_swings():
    random = Random(1)
    noisy = curve(lambda step: 1.0 + 2.0 / (1 + step / 40) + random.expovariate(1.0))
    spike = curve(lambda step: 1.0 + 20.0 * (200 < step < 230))
    easy_and_hard = curve(lambda step: 1.0 + (step % 2) + random.gauss(0, 0.05))

    assert {status("loss-oscillating", metrics=rows).status for rows in (noisy, spike, easy_and_hard)} == {"clear"}


def test_swings_that_do_not_settle():
    assert status("loss-oscillating", metrics=curve(lambda step: 2.0 + 1.6 * sin(step / 7))).status == "fired"


def test_a_loss_that_falls_within_its_epochs_has_no_teeth():
    passes = [{"kind": "call", "name": "loader_iter", "object": "loader#0", "number": e, "step": e * 40} for e in range(5)]
    teeth = curve(lambda step: 3.0 - 0.4 * (step // 40) + 0.01 * (step * 7 % 5), 200)
    smooth = curve(lambda step: 3.0 - 0.01 * step + 0.01 * (step * 7 % 5), 200)

    assert status("loss-epoch-sawtooth", metrics=teeth, events=passes).status == "fired"
    assert status("loss-epoch-sawtooth", metrics=smooth, events=passes).status == "clear"


def game(generator, fake):
    """Windows of a critic (1) and a generator (2): `generator` and `fake` stand between the score and its mean."""
    base = {"g": True, "ig": True, "site": {"file": "gan.py", "line": 5}}
    critic = [
        {"op": "linear", "in": [], "p": ["Gen.w"]},
        {"op": "detach", "in": [0], "g": False},
        {"op": "linear", "in": [1], "p": ["Dis.w"]},
        {"op": fake, "in": [2]},
        {"op": "mean", "in": [3]},
        {"op": "linear", "in": [], "p": ["Dis.w"]},
        {"op": "neg" if fake == "softplus" else "relu", "in": [5]},
        {"op": "mean", "in": [6]},
        {"op": "add", "in": [4, 7]},
    ]
    maker = [
        {"op": "linear", "in": [], "p": ["Gen.w"]},
        {"op": "linear", "in": [0], "p": ["Dis.w"]},
        {"op": generator, "in": [1], "site": {"file": "gan.py", "line": 9}},
        {"op": "mean", "in": [2]},
    ]
    trace = []
    for window, nodes in ((1, critic), (2, maker)):
        trace += [base | {"w": window, "i": i} | node for i, node in enumerate(nodes)]
        trace.append({"w": window, "root": len(nodes) - 1, "nodes": len(nodes)})
    return {"trace": trace, "events": [{"kind": "call", "name": "step", "step": 0}]}


def test_a_generator_that_wants_what_its_critic_wants():
    outcome = status("loss-flipped-sign", **game("softplus", "softplus"))

    assert outcome.status == "fired" and outcome.findings[0].location.line == 9


@pytest.mark.parametrize(("generator", "fake"), [("neg", "softplus"), ("softplus", "neg")])
def test_opponents_are_left_alone(generator, fake):
    assert status("loss-flipped-sign", **game(generator, fake)).status != "fired"


def loader(length, batches, asked=5):
    counts = {"pass:loader#1": asked, "batches:loader#0": 50} | ({"batches:loader#1": batches} if batches else {})
    place = {"file": "train.py", "line": 8}
    return [
        {"kind": "loader", "object": "loader#1", "length": length, "site": place},
        {"kind": "call_counts", "counts": counts},
    ]


def test_an_evaluation_over_an_empty_set():
    outcome = status("loss-metric-decoupled", events=loader(0, 0))

    assert outcome.status == "fired" and outcome.findings[0].location.line == 8
    assert status("loss-metric-decoupled", events=loader(40, 10)).status == "clear"
    assert status("loss-metric-decoupled", events=loader(0, 0, asked=1)).status == "clear"


def evaluated(name, shape):
    lines = [f"epoch {n} val loss 0.0{9 - n} {name} 0.2{n}" for n in range(6)]
    prints = [{"kind": "print", "text": text, "step": 10 * n, "n": n} for n, text in enumerate(lines)]
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": False, "target": {"shape": shape}, "input": {"shape": [64, 5]}}
    return [*prints, *[call | {"step": step} for step in range(4)]]


def test_an_accuracy_that_its_loss_rules_out():
    assert status("loss-metric-decoupled", events=evaluated("val acc", [64])).status == "fired"


@pytest.mark.parametrize(("name", "shape"), [("val exact acc", [64]), ("val acc", [8, 8]), ("val f1", [64])])
def test_other_metrics_may_be_as_low_as_they_are(name, shape):
    assert status("loss-metric-decoupled", events=evaluated(name, shape)).status == "clear"


def taken_in_turns(level):
    """Optimizer 0 trains for 60 steps, a probe of its features for 40, optimizer 0 for 60 more; `level` gives its losses."""
    rows = [{"step": s, "optimizer": "optimizer#0", "loss": level(s) + 0.05 * (s * 7 % 5 - 2)} for s in range(60)]
    rows += [{"step": s, "optimizer": "optimizer#1", "loss": 1.0 / (1 + s - 60)} for s in range(60, 100)]
    return rows + [{"step": s, "optimizer": "optimizer#0", "loss": level(s) + 0.05 * (s * 7 % 5 - 2)} for s in range(100, 160)]


def test_a_training_that_a_probe_interrupts_is_one_training():
    assert status("loss-not-decreasing", metrics=taken_in_turns(lambda step: 1.6 + 2.0 * 0.9**step)).status == "clear"
    assert status("loss-not-decreasing", metrics=taken_in_turns(lambda step: 2.3)).status == "fired"
