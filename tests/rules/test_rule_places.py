"""Where findings point, as far as record and source of a case together tell it."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def line(name, **parts) -> int | None:
    outcome = run_rule(RULES[name], Case.of(**parts))
    assert outcome.status == "fired", outcome
    place = outcome.findings[0].location
    return place.line if place else None


def site(number: int, function: str = "<module>") -> dict:
    return {"file": "t.py", "line": number, "function": function}


OPTIONS = (
    "p.add_argument('--lr', type=float)\np.add_argument('--batch', type=int)\nuse(args.batch)\n\nopt = SGD(net.parameters())\n"
)


@pytest.mark.parametrize(("built", "expected"), [([5], 5), ([], 1), ([5, 7], 1)])
def test_an_unused_option_points_to_the_one_call_it_was_meant_for(built, expected):
    events = [{"kind": "optimizer", "site": site(n), "groups": []} for n in built]
    assert line("code-config-unused", source={"t.py": OPTIONS}, events=events) == expected


def schedule(cls: str, plan: dict) -> dict:
    text = "for epoch in range(4):\n    for b in data:\n        opt.step()\n    evaluate()\n"
    row = {"object": "scheduler#0", "cls": cls, "optimizer": "optimizer#0", "plan": plan, "steps": 0}
    counts = {"kind": "call_counts", "counts": {"pass:loader#0": 4}}
    step = {"kind": "call", "name": "step", "object": "optimizer#0", "site": site(3)}
    return {
        "source": {"t.py": text},
        "events": [{"kind": "scheduler", "site": site(9), **row}, {"kind": "schedules", "schedules": [row]}, step, counts],
        "metrics": [{"step": s, "lr": 0.1} for s in range(400)],
    }


@pytest.mark.parametrize(
    ("cls", "plan", "expected"),
    [
        ("CosineAnnealingLR", {"T_max": 400}, 3),
        ("CosineAnnealingLR", {"T_max": 4}, 4),
        ("ExponentialLR", {"gamma": 0.9}, 4),
        ("ExponentialLR", {"gamma": 0.999}, 3),
        ("LambdaLR", {}, 3),
    ],
)
def test_a_schedule_that_is_never_stepped_points_to_where_the_call_belongs(cls, plan, expected):
    assert line("opt-sched-never-stepped", **schedule(cls, plan)) == expected


def test_the_optimizer_that_forgot_is_the_last_one_of_the_same_model():
    row = {"requires_grad": True, "grad": "present", "windows": 9, "shape": [5, 8], "numel": 40}
    rows = [
        row | {"name": "adapter.A", "optimizer": None, "moved": False},
        row | {"name": "body.weight", "optimizer": "optimizer#0", "moved": True},
        row | {"name": "head.weight", "optimizer": "optimizer#1", "moved": True},
    ]
    other = {"cls": "Critic", "parameters": [row | {"name": "w", "optimizer": "optimizer#2", "moved": True}]}
    optimizers = [
        {"label": f"optimizer#{n}", "cls": "Adam", "steps": 40, "orphans": [], "site": site(10 * (n + 1))} for n in range(3)
    ]
    model = {"roots": [{"cls": "Net", "parameters": rows}, other], "optimizers": optimizers}
    assert line("opt-params-missing", model=model) == 20


def test_a_cost_that_outweighs_the_loss_is_where_halting_collapsed():
    text = "COST = 4.0\n\n\nloss = ce + COST * ponder.mean()\n"

    def windows(cost: float) -> list[dict]:
        rows: list[dict] = []
        for window in (1, 40):
            base = {"w": window, "ig": True, "shape": [4, 1]}
            rows.append(base | {"i": 0, "op": "linear", "in": [], "p": ["halt.weight"], "g": True})
            rows.append(base | {"i": 1, "op": "sigmoid", "in": [0], "g": True})
            asked = base | {"op": "gt", "in": [1], "g": False, "true": 1.0, "site": site(2)}
            rows += [asked | {"i": n} for n in (2, 3, 4)]
            scalar = {"w": window, "shape": [], "g": True, "site": site(4)}
            rows.append(scalar | {"i": 5, "op": "cross_entropy", "in": [0], "v": 0.5})
            rows.append(scalar | {"i": 6, "op": "mean", "in": [1], "v": 1.0})
            rows.append(scalar | {"i": 7, "op": "mul", "in": [6], "v": cost, "a": {"scalar": cost}})
            rows.append(scalar | {"i": 8, "op": "add", "in": [5, 7], "v": 0.5 + cost})
            rows.append({"w": window, "root": 8, "nodes": 9})
        return rows

    assert line("act-halt-collapse-min", source={"t.py": text}, trace=windows(4.0)) == 1
    assert line("act-halt-collapse-min", source={"t.py": text}, trace=windows(0.01)) == 2


def test_a_view_that_swaps_lengths_is_named_before_the_layer():
    text = "lstm = nn.LSTM(3, 8)\n\nseq = x.view(T, N, 3)\n"
    probe = {"probe": "batch_independence", "status": "ok", "step": 2, "module": "Net"}
    result = {"batch": 4, "others": 0.2, "own": 0.5, "scale": 0.3, "samples_moved": 3}

    def trace(op: str) -> list[dict]:
        node = {"w": 1, "i": 0, "op": op, "in": [], "x": ["input0"], "shapes": [[4, 6, 3]], "shape": [6, 4, 3], "site": site(3)}
        return [node, {"w": 1, "root": 0, "nodes": 1}]

    parts = {"source": {"t.py": text}, "probes": [probe | {"result": result}]}
    assert line("model-batch-mixing", trace=trace("view"), **parts) == 3
    assert line("model-batch-mixing", trace=trace("transpose"), **parts) == 1


@pytest.mark.parametrize(("function", "expected"), [("<module>", 3), ("main", 5)])
def test_a_seed_belongs_below_the_imports_of_a_flat_script(function, expected):
    rows = [{"name": "w", "requires_grad": True}]
    optimizers = [{"label": "optimizer#0", "steps": 12, "site": site(6, function)}]
    parts = {
        "info": {"origin": "live", "integrity": {"steps_seen": 12, "finished": True}},
        "metrics": [{"step": s, "loss": 1.0} for s in range(12)],
        "model": {"roots": [{"cls": "Net", "parameters": rows}], "optimizers": optimizers},
        "source": {"t.py": "import os\n\nimport torch\n\nmodel = Net()\nopt = SGD()\n"},
    }
    assert line("repro-seed-missing", **parts) == expected


def test_what_a_module_computes_for_nothing_is_the_line_that_computes_it():
    base = {"requires_grad": True, "windows": 8, "optimizer": "optimizer#0", "shape": [4, 4]}
    rows = [base | {"name": "a.weight", "grad": "present"}, base | {"name": "b.weight", "grad": "none"}]
    model = {"roots": [{"cls": "Net", "modules": [{"name": "b", "cls": "Linear", "used": True}], "parameters": rows}]}
    trace = [
        {"w": 1, "i": 0, "op": "linear", "in": [], "p": ["a.weight"], "g": True, "site": site(4)},
        {"w": 1, "i": 1, "op": "linear", "in": [0], "p": ["b.weight"], "g": True, "site": site(5)},
        {"w": 1, "i": 2, "op": "mean", "in": [0], "g": True, "site": site(6)},
        {"w": 1, "root": 2, "nodes": 3},
    ]
    assert line("grad-none-or-zero-param", model=model, trace=trace) == 5
    assert line("grad-none-or-zero-param", model=model) is None
