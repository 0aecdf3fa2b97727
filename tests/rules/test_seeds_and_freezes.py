"""A seed that is set again and again, and parts that are frozen: on purpose, or by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
SITE = {"file": "train.py", "line": 41, "function": "draw"}
FRESH, DRAWN = 11, 22


def reset(states: list[int], every: int = 1, training: bool = True) -> Case:
    seeds = [
        {"kind": "seed", "step": step, "n": 10 * step, "library": "torch", "seed": 0, "state": FRESH, "site": SITE}
        for step in range(0, len(states), every)
    ]
    forwards = [
        {"kind": "forward", "grad": training, "training": training, "step": step, "n": 10 * step + 1, "random": state}
        | {"inputs": [{"shape": [8, 2], "hash": step}]}
        for step, state in enumerate(states)
    ]
    return Case.of(events=seeds + forwards)


@pytest.mark.parametrize(
    ("states", "every", "status"),
    [
        ([DRAWN] * 9, 1, "fired"),  # noise is drawn in each step, and is the same each time
        ([FRESH] * 9, 1, "clear"),  # nothing draws from the generator that is reset
        (list(range(9)), 3, "clear"),  # an evaluation reseeds, training goes on drawing
        ([DRAWN, 1, 2, DRAWN, 4, 5, DRAWN, 7, 8], 3, "clear"),  # it repeats one step in three: an evaluation before each
    ],
)
def test_a_reset_matters_where_the_same_numbers_are_drawn(states, every, status):
    assert run_rule(RULES["repro-seed-reset-in-loop"], reset(states, every)).status == status


def weight(name: str, **facts: Any) -> dict[str, Any]:
    row = {"name": name, "shape": [4, 4], "requires_grad": True, "moved": True, "optimizer": "optimizer#0", "seen_at": 0}
    return row | {"grad": "present", "windows": 9} | facts


def frozen(through: bool = True, **facts: Any) -> Case:
    last = weight("last.weight", **({"requires_grad": False, "moved": False, "optimizer": None, "grad": "unseen"} | facts))
    trace: list[dict[str, Any]] = [
        {"w": 1, "i": 0, "op": "linear", "in": [], "p": ["body.weight"], "ig": True, "g": True},
        {"w": 1, "i": 1, "op": "linear", "in": [0] if through else [], "p": ["last.weight"], "ig": through, "g": through},
        {"w": 1, "root": 1, "nodes": 2},
    ]
    body = weight("body.weight", seen_at=facts.get("seen_at", 0))
    return Case.of(model={"roots": [{"cls": "Net", "parameters": [body, last]}]}, trace=trace)


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (frozen(), "fired"),
        (frozen(moved=True), "clear"),  # a moving average of the trained weights
        (frozen(loaded=True), "clear"),  # it came from elsewhere
        (frozen(through=False), "clear"),  # a fixed target that nothing is learned through
        (frozen(seen_at=200, loaded=True), "clear"),  # a second model, made in mid-run of a first one's weights
        (frozen(seen_at=200), "fired"),
    ],
)
def test_a_frozen_last_layer_is_a_fault_where_it_is_random_and_learned_through(case, status):
    assert run_rule(RULES["grad-unintended-freeze"], case).status == status


def learner(held_out: list[float], train: dict[int, float]) -> Case:
    target = {"histogram": {"counts": {"0": 16, "1": 16}, "distinct": 2}}
    call = {"kind": "loss_call", "fn": "cross_entropy", "target": target}
    events = [call | {"grad": False, "step": 30 * (i + 1), "value": 0.693 * v} for i, v in enumerate(held_out)]
    events += [call | {"grad": True, "step": step, "value": 0.693 * v} for step, v in train.items()]
    result = {"real": 0.4, "shifted": 0.9, "label_entropy": 0.693, "output_spread": 0.3, "scale": 0.3}
    probes = [{"probe": "input_dependence", "status": "ok", "step": 200, "result": result}]
    probes.append({"probe": "overfit_batch", "status": "ok", "step": 40, "result": {"first": 0.7, "last": 0.1, "steps": 60}})
    metrics = [{"step": step, "loss": 0.6, "update_ratio": 1e-2} for step in range(250)]
    return Case.of(events=events, probes=probes, metrics=metrics)


NEW = {12: 1.02, 18: 1.0, 24: 1.01, 30: 1.0}
HEART = NEW | {120: 0.7, 180: 0.5}


@pytest.mark.parametrize(
    ("held_out", "train", "status"),
    [
        ([1.0, 1.02, 1.2, 1.5], HEART, "fired"),
        ([0.9, 1.02, 1.2, 1.5], HEART, "clear"),  # it overfits, but had told new samples apart before
        (
            [1.0, 1.02, 1.2, 1.5],
            HEART | {24: 0.8, 30: 0.7, 18: 0.9},
            "clear",
        ),  # new samples are told apart: only evaluation fails
        ([1.0, 1.02, 1.0, 1.01], NEW | {120: 1.0, 180: 0.99}, "clear"),  # a shelf: nothing is learned by heart either
    ],
)
def test_learning_by_heart_alone_is_a_misalignment_overfitting_is_not(held_out, train, status):
    assert run_rule(RULES["data-input-label-misaligned"], learner(held_out, train)).status == status


def sampled(*nodes: dict[str, Any]) -> Case:
    head: list[dict[str, Any]] = [
        {"op": "linear", "in": [], "p": ["mean.weight"], "ig": True, "g": True, "shape": [8, 2]},
        {"op": "linear", "in": [], "p": ["spread.weight"], "ig": True, "g": True, "shape": [8, 2]},
    ]
    trace = [{"w": 1, "i": i, "shape": [8, 2]} | node for i, node in enumerate((*head, *nodes))]
    rows = [weight(f"{name}.weight") for name in ("mean", "spread", "out")]
    model = {"roots": [{"cls": "Vae", "parameters": rows}]}
    return Case.of(model=model, trace=[*trace, {"w": 1, "root": len(trace) - 1, "nodes": len(trace)}])


NOISE = {"op": "randn_like", "in": [0], "ig": True, "g": False}
OUT = {"op": "linear", "p": ["out.weight"], "ig": True, "g": True}


@pytest.mark.parametrize(
    ("nodes", "status"),
    [
        (({"op": "normal", "in": [0, 1], "ig": True, "g": False, "off": True}, OUT | {"in": [2]}), "fired"),
        (
            (
                NOISE,
                {"op": "mul", "in": [1, 2], "g": False},
                {"op": "add", "in": [0, 3], "ig": True, "g": False},
                OUT | {"in": [4]},
            ),
            "fired",
        ),
        ((NOISE, {"op": "mul", "in": [1, 2], "g": True}, {"op": "add", "in": [0, 3], "g": True}, OUT | {"in": [4]}), "clear"),
        # Noise of a fixed strength on what another network made: a discriminator's instance noise.
        (
            (NOISE, {"op": "mul", "in": [2], "g": False}, {"op": "add", "in": [0, 3], "ig": True, "g": False}, OUT | {"in": [4]}),
            "clear",
        ),
        # A policy's action, whose distance from the mean is in the loss.
        (
            ({"op": "normal", "in": [0, 1], "ig": True, "g": False}, {"op": "sub", "in": [2, 0], "g": True}, OUT | {"in": [2]}),
            "clear",
        ),
    ],
)
def test_a_sample_without_gradient_is_a_cut_where_it_is_decoded(nodes, status):
    assert run_rule(RULES["grad-graph-broken"], sampled(*nodes)).status == status
