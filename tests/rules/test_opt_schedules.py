"""Schedules: exactly the right one of the rules about them speaks, and healthy schedules pass all of them."""

from __future__ import annotations

import math

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
NAMES = (
    "opt-sched-per-process", "opt-sched-epoch-vs-step", "opt-warmup-missing-or-long", "opt-sched-horizon-mismatch",
    "opt-lr-zero-or-dead-tail", "opt-sched-never-stepped",
)  # fmt: skip
STEPS, EPOCHS = 400, 8
BATCH = (
    "for epoch in range(8):\n    for batch in loader:\n        optimizer.step()\n        scheduler.step()\n    print(epoch)\n"
    "    scheduler.step()\n"
)


def case(cls, plan, rate, per_step=1.0, code=0, epochs=EPOCHS, source=BATCH, **more):
    """A run of 8 epochs of 50 steps, whose schedule was stepped `per_step` times a step and gave `rate(calls)`."""
    made = round(per_step * STEPS)
    often = per_step >= 0.9
    site = {"file": "t.py", "line": 4 if often else 6, "function": "main"}
    schedule = {"object": "scheduler#0", "cls": cls, "optimizer": "optimizer#0", "plan": plan}
    events = [
        {"kind": "scheduler", "step": 0, "n": 1, "site": {**site, "line": 1}, **schedule},
        {"kind": "loader", "step": 0, "n": 2, "object": "loader#0", "length": STEPS // EPOCHS},
        {"kind": "call", "step": 0, "n": 3, "name": "step", "object": "optimizer#0", "site": {**site, "line": 3}},
        {"kind": "call", "step": 1, "n": 4, "name": "scheduler_step", "object": "scheduler#0", "site": site},
        {"kind": "schedules", "step": STEPS, "n": 5, "schedules": [{**schedule, "steps": made}]},
        {"kind": "call_counts", "step": STEPS, "n": 6, "counts": {"pass:loader#0": epochs}},
    ]
    calls = [math.floor(per_step * i + 1e-9) for i in range(STEPS)]
    metrics = [{"step": i, "loss": 1.0, "lr": rate(calls[i]), "optimizer": "optimizer#0"} for i in range(STEPS)]
    info = {"exit": {"code": code}, "integrity": {"steps_seen": STEPS}, "origin": "live"}
    return Case.of(events=events, metrics=metrics, source={"t.py": source}, info=info, **more)


def cosine(length):
    return lambda n: 0.05 * (1 + math.cos(math.pi * n / length))


def linear(warmup, length):
    return lambda n: 0.1 * min(1.0, n / warmup) * max(0.0, min(1.0, (length - n) / max(1, length - warmup)))


def fired(of):
    """The names of the rules that fire, without those that another of them explains."""
    names = {name for name in NAMES if run_rule(RULES[name], of).status == "fired"}
    return {name for name in names if not any(name in RULES[other].explains for other in names)}


FAULTS = {
    "cosine over epochs, per batch": (("CosineAnnealingLR", {"T_max": 8}, cosine(8)), {}, "opt-sched-epoch-vs-step"),
    "exponential, per batch": (("ExponentialLR", {"gamma": 0.9}, lambda n: 0.1 * 0.9**n), {}, "opt-sched-epoch-vs-step"),
    "milestones in epochs, per batch": (
        ("MultiStepLR", {"milestones": [4, 6], "gamma": 0.1}, lambda n: 0.1 * 0.1 ** ((n >= 4) + (n >= 6))),
        {},
        "opt-sched-epoch-vs-step",
    ),
    "one-cycle over steps, per epoch": (
        ("OneCycleLR", {"total_steps": 400}, lambda n: 0.004 + 0.0005 * n),
        {"per_step": 0.02},
        "opt-sched-epoch-vs-step",
    ),
    "a warm-up of another run": (
        ("LambdaLR", {"num_warmup_steps": 5000, "num_training_steps": 400}, lambda n: 0.1 * n / 5000),
        {},
        "opt-warmup-missing-or-long",
    ),
    "a schedule of another run": (
        ("LambdaLR", {"num_warmup_steps": 1000, "num_training_steps": 10_000}, lambda n: 0.1 * n / 1000),
        {},
        "opt-sched-horizon-mismatch",
    ),
    "linear to zero over one epoch": (("LambdaLR", {}, linear(5, 50)), {}, "opt-sched-horizon-mismatch"),
    "cosine over half of the run": (("CosineAnnealingLR", {"T_max": 200}, cosine(200)), {}, "opt-sched-horizon-mismatch"),
    "a factor that is too strong": (
        ("ExponentialLR", {"gamma": 0.1}, lambda n: 0.1 * 0.1**n),
        {"per_step": 0.02},
        "opt-lr-zero-or-dead-tail",
    ),
    "twice a step": (("CosineAnnealingLR", {"T_max": 400}, cosine(400)), {"per_step": 2.0}, "opt-sched-per-process"),
    "once a rank": (("LambdaLR", {"num_training_steps": 400}, linear(40, 400)), {"per_step": 4.0}, "opt-sched-per-process"),
    "never": (("CosineAnnealingLR", {"T_max": 400}, lambda n: 0.1), {"per_step": 0.0}, "opt-sched-never-stepped"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_of_a_schedule_has_one_name(name):
    (cls, plan, rate), options, wanted = FAULTS[name]
    assert fired(case(cls, plan, rate, **options)) == {wanted}


HEALTHY = {
    "cosine over the run": (("CosineAnnealingLR", {"T_max": 400}, cosine(400)), {}),
    "cosine over epochs, per epoch": (("CosineAnnealingLR", {"T_max": 8}, cosine(8)), {"per_step": 0.02}),
    "warm up and linear to zero": (("LambdaLR", {"num_warmup_steps": 40, "num_training_steps": 400}, linear(40, 400)), {}),
    "a cut once an epoch": (("StepLR", {"step_size": 3, "gamma": 0.1}, lambda n: 0.1 * 0.1 ** (n // 3)), {"per_step": 0.02}),
    "a slow exponential per batch": (("ExponentialLR", {"gamma": 0.99}, lambda n: 0.1 * 0.99**n), {}),
    "planned in micro-batches": (("CosineAnnealingLR", {"T_max": 1600}, cosine(1600)), {"per_step": 4.0}),
    "one-cycle over the run": (("OneCycleLR", {"total_steps": 400}, linear(120, 401)), {}),
    "drop_last": (("CosineAnnealingLR", {"T_max": 384}, cosine(384)), {}),
    "cut off by hand": (
        ("LambdaLR", {"num_warmup_steps": 1000, "num_training_steps": 10_000}, lambda n: 0.1 * n / 1000),
        {"code": 130},
    ),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_schedule_is_let_pass(name):
    (cls, plan, rate), options = HEALTHY[name]
    assert fired(case(cls, plan, rate, **options)) == set()


LOOP = "sched = CosineAnnealingLR(opt, T_max=total)\nfor batch in loader:\n    opt.step()\n    {}\n"


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (LOOP.format("for _ in range(world):\n        sched.step()"), "fired"),
        ("total = len(loader) * world\n" + LOOP.format("for _ in range(world):\n        sched.step()"), "clear"),
        ("for _ in range(start):\n    sched.step()\n" + LOOP.format("sched.step()"), "clear"),  # a schedule that is caught up
        (LOOP.format("for _ in range(2):\n        critic.step()"), "clear"),
    ],
)
def test_a_scheduler_in_a_loop_of_its_own(text, status):
    assert run_rule(RULES["opt-sched-per-process"], Case.of(source={"t.py": text})).status == status


def test_the_rate_of_a_second_optimizer_is_no_warm_up():
    rates = [("optimizer#0", 1e-3)] * 600 + [("optimizer#1", 1.0)] * 10
    metrics = [{"step": i, "loss": 1.0, "lr": rate, "optimizer": label} for i, (label, rate) in enumerate(rates)]
    info = {"exit": {"code": 0}, "integrity": {"steps_seen": 610}}
    assert run_rule(RULES["opt-warmup-missing-or-long"], Case.of(metrics=metrics, info=info)).status == "clear"
