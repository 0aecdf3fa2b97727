"""Runs that continue from a checkpoint, and what only looks like one: fine-tuning, phases, teachers, restored best weights."""

from __future__ import annotations

from typing import Any

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
SITE = {"file": "train.py", "line": 40, "function": "load"}
OPTIMIZER, SCHEDULER, RATE = "repro-ckpt-missing-optimizer", "repro-ckpt-missing-scheduler", "repro-resume-load-order"
WEIGHTS, JUMP, DATA = "repro-pretrained-not-loaded", "repro-resume-loss-jump", "repro-ckpt-missing-scaler-rng-loader"
ALL = (OPTIMIZER, SCHEDULER, RATE, WEIGHTS, JUMP, DATA)
READS_STEP = 'start = state["step"] + 1\n'


def decay(step: int) -> float:
    return 0.01 * 0.98**step


def sitting(
    holds: dict[str, str],
    restored: tuple[str, ...] = ("load_state_dict",),
    source: str = READS_STEP,
    before: int = 40,
    classes: tuple[str, str] = ("Adam", "Adam"),
    groups: dict[str, Any] | None = None,
    rates: Any = lambda step, since: decay(step),
    losses: Any = lambda step, since: 1.0 + 0.01 * (step % 7),
    arrived: dict[str, Any] | None = None,
    schedules: bool = True,
    made: tuple[float, float] = (0.01, 0.01),
    saved: bool = False,
) -> Case:
    """`before` steps, a file that is read, what is restored from it in this order, and forty steps with a new optimizer."""
    numbers = {"step": float(before or 40)} if "step" in holds else {}
    events: list[dict] = [
        {"kind": "scheduler", "object": "scheduler#0", "cls": "StepLR", "optimizer": "optimizer#0", "n": 0}
    ] * schedules
    if saved:
        events.append(
            {"kind": "checkpoint", "name": "save", "n": 1, "holds": holds, "file": "/a.pt", "site": {**SITE, "line": 7}}
        )
    events.append(
        {"kind": "checkpoint", "name": "load", "n": 2, "holds": holds, "numbers": numbers, "file": "/a.pt", "site": SITE}
    )
    number = 3
    for name in ("scheduler", *restored) if schedules and "scheduler" not in restored else restored:
        row: dict[str, Any] = {
            "kind": "checkpoint",
            "name": name,
            "object": "optimizer#1",
            "optimizer": "optimizer#1",
            "entries": 6,
        }
        if name == "scheduler":
            row = {"kind": "scheduler", "object": "scheduler#1", "cls": "StepLR", "optimizer": "optimizer#1", "site": SITE}
        events.append(row | {"n": number, "tensors": 6, "unexpected": 0})
        number += 1
    events += [{"kind": "optimizer", "object": f"optimizer#{i}", "groups": [{"lr": lr}], "n": i} for i, lr in enumerate(made)]
    end = {"kind": "checkpoint", "name": "arrived", "n": number, "of": 2, "optimizer": "optimizer#1", "tensors": 6}
    events.append(end | {"fitting": 6, "equal": 6, "elsewhere": 0} | (arrived or {}))
    rows = [
        {"step": s, "loss": losses(s, s - before), "lr": rates(s, s - before), "optimizer": f"optimizer#{int(s >= before)}"}
        for s in range(before + 40)
    ]
    optimizers = [{"label": f"optimizer#{i}", "cls": cls, "groups": [groups or {"lr": 0.01}]} for i, cls in enumerate(classes)]
    return Case.of(
        info={"origin": "live"},
        events=[event | {"step": before} for event in events],
        metrics=rows,
        model={"roots": [{"cls": "Net", "parameters": []}], "optimizers": optimizers},
        source={"train.py": source},
    )


def fired(case: Case) -> list[str]:
    return [name for name in ALL if run_rule(RULES[name], case).status == "fired"]


def crashed(case: Case) -> list[str]:
    return [name for name in ALL if run_rule(RULES[name], case).status == "crashed"]


FULL = {"model": "weights", "optimizer": "optimizer", "scheduler": "scheduler", "step": "integer"}
EVERYTHING = ("load_state_dict", "load_optimizer", "load_scheduler")


def test_a_whole_checkpoint_is_a_healthy_one():
    assert fired(sitting(FULL, EVERYTHING)) == [] and crashed(sitting(FULL, EVERYTHING)) == []


def test_state_that_is_not_saved_is_mended_where_it_should_be_saved():
    case = sitting({k: v for k, v in FULL.items() if k != "optimizer"}, ("load_state_dict", "load_scheduler"), saved=True)
    assert fired(case) == [OPTIMIZER]
    assert run_rule(RULES[OPTIMIZER], case).findings[0].location.line == 7


def test_state_that_is_saved_and_left_in_the_file_is_mended_where_it_is_read():
    case = sitting(FULL, ("load_state_dict", "load_scheduler"), saved=True)
    assert fired(case) == [OPTIMIZER]
    assert run_rule(RULES[OPTIMIZER], case).findings[0].location.line == 40


def test_a_schedule_that_starts_again():
    again = lambda step, since: decay(since if since >= 0 else step)  # noqa: E731
    case = sitting({k: v for k, v in FULL.items() if k != "scheduler"}, ("load_state_dict", "load_optimizer"), rates=again)
    assert fired(case) == [SCHEDULER]


@pytest.mark.parametrize(
    "rates",
    [lambda step, since: decay(step), lambda step, since: 0.003 * 0.9 ** max(0, since) if since >= 0 else decay(step)],
    ids=["wound forward by hand", "another plan"],
)
def test_a_schedule_that_goes_on_or_is_planned_anew(rates):
    assert fired(sitting(FULL, ("load_state_dict", "load_optimizer"), rates=rates)) == []


def test_a_schedule_built_over_the_loaded_rate():
    reset = lambda step, since: 0.01 * 0.99**since if since >= 0 else decay(step)  # noqa: E731
    late = ("load_state_dict", "load_optimizer", "scheduler", "load_scheduler")
    assert fired(sitting(FULL, late, rates=reset)) == [RATE]
    assert fired(sitting(FULL, late)) == [], "built late, and the rate goes on all the same"


@pytest.mark.parametrize(
    "changes",
    [
        {"holds": {"": "weights"}, "source": "model.load_state_dict(torch.load(path))\n"},
        {"holds": {"model": "weights", "epoch": "integer"}, "source": 'print(state["epoch"])\nlog.info(f"{state[\'epoch\']}")\n'},
        {"holds": FULL, "classes": ("Adam", "SGD")},
        {"holds": {"model": "weights", "step": "integer"}, "made": (0.01, 0.001), "schedules": False},
        {"holds": FULL, "classes": ("SGD", "SGD"), "groups": {"lr": 0.1, "momentum": 0}},
    ],
    ids=[
        "fine-tuning from bare weights",
        "a counter that is only shown",
        "another optimizer: another phase",
        "another rate",
        "one without memory",
    ],
)
def test_a_start_from_given_weights_is_no_continuation(changes):
    assert fired(sitting(**changes)) == []


def test_best_weights_restored_for_a_last_evaluation_train_nothing():
    case = Case.of(
        events=[{"kind": "checkpoint", "name": "load", "n": 1, "step": 90, "holds": FULL, "numbers": {}, "site": SITE}]
    )
    assert fired(case) == [] and crashed(case) == []


NOWHERE = {"equal": 0}


class TestWeightsThatDidNotArrive:
    def test_never_loaded_although_the_rest_was(self):
        case = sitting(FULL, ("load_optimizer", "load_scheduler"), arrived=NOWHERE)
        assert fired(case) == [WEIGHTS]
        assert run_rule(RULES[WEIGHTS], case).findings[0].severity is None

    def test_the_loss_then_jumps(self):
        jumping = lambda step, since: 3.0 if since >= 0 else 1.0 + 0.01 * (step % 7)  # noqa: E731
        assert fired(sitting(FULL, ("load_optimizer", "load_scheduler"), arrived=NOWHERE, losses=jumping)) == [WEIGHTS, JUMP]

    def test_loaded_and_initialised_again(self):
        learnt = lambda step, since: 2.0 * 0.95 ** (since if since >= 0 else step)  # noqa: E731
        assert WEIGHTS in fired(sitting({"": "weights"}, arrived=NOWHERE, source="", losses=learnt))

    def test_loaded_and_pruned_or_averaged(self):
        assert fired(sitting({"": "weights"}, arrived=NOWHERE, source="", losses=lambda step, since: 2.0 * 0.95**step)) == []

    def test_a_teacher_has_them(self):
        assert fired(sitting({"": "weights"}, arrived={"equal": 0, "elsewhere": 6}, source="")) == []

    def test_another_model_of_the_same_process_that_they_were_saved_from(self):
        case = sitting({"": "weights"}, (), arrived={"equal": 0, "elsewhere": 6}, source="")
        assert fired(case) == [WEIGHTS]

    def test_a_new_head_on_a_loaded_body(self):
        assert fired(sitting({"": "weights"}, arrived={"fitting": 5, "equal": 5}, source="")) == []

    def test_a_file_for_something_else(self):
        assert fired(sitting({"": "weights"}, arrived={"fitting": 1, "equal": 0}, source="")) == []

    def test_only_its_score_may_have_been_wanted(self):
        case = sitting({"model": "weights", "best": "number"}, (), arrived=NOWHERE, source="")
        assert run_rule(RULES[WEIGHTS], case).findings[0].severity.value == "warning"


def test_files_that_this_run_wrote_may_be_read_whole():
    rule = RULES["repro-unsafe-load"]
    load = {"kind": "checkpoint", "name": "load", "n": 2, "step": 0, "file": "/a.pt", "weights_only": False, "site": SITE}
    save = {"kind": "checkpoint", "name": "save", "n": 1, "step": 0, "file": "/a.pt"}
    old = Case.of(events=[load | {"weights_only": None}], info={"versions": {"torch": "2.5.1"}})
    new = Case.of(events=[load | {"weights_only": None}], info={"versions": {"torch": "2.13.0+cpu"}})
    assert [run_rule(rule, case).status for case in (Case.of(events=[load]), Case.of(events=[save, load]), old, new)] == [
        "fired", "clear", "fired", "clear",
    ]  # fmt: skip
