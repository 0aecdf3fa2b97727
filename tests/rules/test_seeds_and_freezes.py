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


STEP = """
def loss(model, x):
    g = torch.Generator().manual_seed(7)
    t = torch.randint(0, 60, (len(x),), generator=g)
    return model(x, t).mean()

def train(model, data):
    for x in data:
        loss(model, x).backward()
"""
ONCE = STEP.replace("    g = torch.Generator().manual_seed(7)\n", "").replace(
    "def loss", "g = torch.Generator().manual_seed(7)\n\ndef loss"
)
SAMPLING = STEP.replace("def loss", "@torch.no_grad()\ndef loss")


@pytest.mark.parametrize(
    ("source", "times", "status"),
    [
        (STEP, [5] * 9, "fired"),
        (STEP, list(range(9)), "clear"),  # what it draws is not what the model is given
        (ONCE, [5] * 9, "clear"),  # a grid of times, made once
        (SAMPLING, [5] * 9, "clear"),  # the same noise for each picture of the progress
    ],
)
def test_a_generator_made_in_each_step_is_a_reset(source, times, status):
    one_seed = {"kind": "seed", "step": 0, "n": 0, "library": "torch", "seed": 1, "site": SITE}
    forwards = [
        {"kind": "forward", "grad": True, "training": True, "step": step, "n": step + 1}
        | {
            "inputs": [
                {"shape": [8, 2], "min": 0, "max": 1, "hash": step},
                {"shape": [8], "min": 0, "max": 59, "hash": 100 + time},
            ]
        }
        for step, time in enumerate(times)
    ]
    case = Case.of(events=[one_seed, *forwards], source={"train.py": source})
    assert run_rule(RULES["repro-seed-reset-in-loop"], case).status == status


FILTER = """
for name, p in model.named_parameters():
    if "enc" in name:
        p.requires_grad_(False)
"""


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (("enc.weight", "sequence.weight"), "fired"),
        (("enc.weight", "encoder.weight"), "clear"),  # words that begin so are meant
        (("sequence.weight", "frequency.weight"), "clear"),  # nothing else was caught: this is what the filter is for
    ],
)
def test_a_filter_that_catches_a_part_of_a_word(names, status):
    off = {"requires_grad": False, "moved": False, "optimizer": None, "grad": "unseen"}
    rows = [*(weight(name, **off) for name in names), weight("head.weight")]
    case = Case.of(model={"roots": [{"cls": "Tagger", "parameters": rows}]}, source={"train.py": FILTER})
    assert run_rule(RULES["grad-unintended-freeze"], case).status == status


def derived(*nodes: dict[str, Any]) -> Case:
    head = [
        {"op": "linear", "in": [], "p": ["mean.weight"], "ig": True, "g": True},
        {"op": "grad", "in": [0], "x": ["input0"], "ig": True, "g": False},
    ]
    trace = [{"w": 1, "i": i, "shape": [8, 2]} | node for i, node in enumerate((*head, *nodes))]
    model = {"roots": [{"cls": "Field", "parameters": [weight("mean.weight")]}]}
    return Case.of(model=model, trace=[*trace, {"w": 1, "root": len(trace) - 1, "nodes": len(trace)}])


@pytest.mark.parametrize(
    ("nodes", "status"),
    [
        (({"op": "add", "in": [0, 1], "ig": True, "g": True}, {"op": "mean", "in": [2], "ig": True, "g": True}), "fired"),
        # An adversarial input: the derivative goes into the model again.
        (({"op": "sign", "in": [1], "g": False}, {"op": "linear", "in": [2], "p": ["mean.weight"], "g": True}), "clear"),
        (({"op": "mean", "in": [0], "ig": True, "g": True},), "clear"),  # it is only looked at
    ],
)
def test_a_derivative_in_the_loss_must_be_differentiable(nodes, status):
    assert run_rule(RULES["grad-graph-broken"], derived(*nodes)).status == status


def standardised(held_rows: float, held_loss: float) -> Case:
    def forward(step: int, grad: bool, rows: float) -> dict[str, Any]:
        tensor = {"shape": [32, 128], "dtype": "float32", "mean": 0.0, "std": 1.0, "distinct": 900}
        tensor |= {"row_means": rows / 10, "row_stds": rows, "hash": step}
        return {"kind": "forward", "object": "model#0 Net", "training": grad, "grad": grad, "step": step, "inputs": [tensor]}

    counts = {"histogram": {"counts": {str(c): 8 for c in range(4)}, "distinct": 4}}
    losses = [(1, True, 1.0), *((step, True, 0.8 - 0.005 * step) for step in range(10, 80, 10))]
    losses += [(step, False, held_loss) for step in (40, 80)]
    events = [forward(step, True, 0.37) for step in range(1, 80, 8)] + [forward(step, False, held_rows) for step in (40, 80)]
    events += [
        {"kind": "loss_call", "fn": "cross_entropy", "grad": g, "step": s, "value": 1.386 * v, "target": counts}
        for s, g, v in losses
    ]
    return Case.of(events=[event | {"n": n} for n, event in enumerate(sorted(events, key=lambda e: e["step"]))])


@pytest.mark.parametrize(
    ("held_rows", "held_loss", "status"),
    [
        (0.0, 1.2, "fired"),
        (0.35, 1.2, "clear"),  # the samples vary alike on both sides
        (0.0, 0.5, "clear"),  # it works: an augmentation of training alone varies what was standardised one by one
    ],
)
def test_samples_standardised_by_themselves_on_one_side(held_rows, held_loss, status):
    assert run_rule(RULES["data-train-val-preproc-mismatch"], standardised(held_rows, held_loss)).status == status


def collapsed(reduction: str, shifted: float, scalar: float = -0.5) -> Case:
    base = {"w": 40, "ig": True, "g": True}
    rows = [
        base | {"i": 0, "op": "mse_loss", "in": [], "shapes": [[64, 96], [64, 96]], "shape": [], "a": {"reduction": "mean"}},
        base | {"i": 1, "op": "linear", "in": [], "p": ["stats.weight"], "shape": [64, 6]},
        base | {"i": 2, "op": reduction, "in": [1], "shapes": [[64, 6]], "shape": [64], "a": {"dim": -1}},
        base | {"i": 3, "op": "mean", "in": [2], "shapes": [[64]], "shape": [], "site": SITE, "a": {}},
        base | {"i": 4, "op": "mul", "in": [3], "shape": [], "a": {"scalar": scalar}, "site": SITE},
        base | {"i": 5, "op": "add", "in": [0, 4], "shape": [], "a": {}, "site": SITE},
        {"w": 40, "root": 5, "nodes": 6},
    ]
    result = {"real": 0.047, "shifted": shifted, "label_entropy": None}
    return Case.of(trace=rows, probes=[{"probe": "input_dependence", "status": "ok", "step": 200, "result": result}])


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (collapsed("sum", 0.047), "fired"),
        (collapsed("sum", 0.2), "clear"),  # the latent is used all the same
        (collapsed("mean", 0.047), "clear"),
        (collapsed("sum", 0.047, 0.01), "clear"),  # weighed down
    ],
)
def test_a_term_summed_within_samples_beside_a_mean_over_elements(case, status):
    assert run_rule(RULES["loss-aux-dominates"], case).status == status
