"""The first non-finite number: which operation is blamed, which is not, and what half precision costs."""

from __future__ import annotations

from typing import Any

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
CAUSES = ("num-fully-masked-row", "num-unstable-expression", "num-div-by-zero-norm", "data-nan-or-inf-input")


def at(line: int) -> dict[str, Any]:
    return {"file": "model.py", "line": line, "function": "forward"}


def run(trace: list[dict] = [], onset: dict | None = None, losses: list[float] | None = None, **parts: Any) -> Case:  # noqa: B006
    """A run whose loss is NaN from the step of the onset on; the trace is of its second window."""
    losses = losses if losses is not None else [1.0, 0.9, 0.8]
    rows: list[dict] = [{"step": s, "loss": loss} for s, loss in enumerate(losses)]
    rows += [{"step": s, "loss": None, "nonfinite": {"loss": "nan"}} for s in range(len(losses), len(losses) + 6)]
    nodes = [{"w": 1, "i": i, "in": [], "g": True, "ig": True} | node for i, node in enumerate(trace)]
    events = list(parts.pop("events", []))
    if onset is not None:
        events.append({"kind": "onset", "n": 99, "step": len(losses), "phase": "forward", "nonfinite_weights": [], **onset})
    end = [{"w": 1, "root": len(nodes) - 1, "nodes": len(nodes)}] if nodes else []
    return Case.of(trace=nodes + end, metrics=rows, events=events, **parts)


def fired(case: Case) -> dict[str, int | None]:
    found = {}
    for name in CAUSES:
        outcome = run_rule(RULES[name], case)
        assert outcome.status != "crashed", outcome.reason
        if outcome.status == "fired":
            found[name] = outcome.findings[0].location.line if outcome.findings[0].location else None
    return found


LOGS = [{"op": "softmax", "site": at(1)}, {"op": "log", "in": [0], "site": at(2)}, {"op": "log", "in": [0], "site": at(3)}]


def test_the_nth_logarithm_is_found_in_the_trace_of_another_window():
    assert fired(run(LOGS, {"op": "log", "nth": 2, "born": "here", "share": 0.01})) == {"num-unstable-expression": 3}


def test_a_derivative_at_zero():
    trace = [{"op": "sum", "site": at(1)}, {"op": "sqrt", "in": [0], "site": at(2)}]
    assert fired(run(trace, {"op": "sqrt", "nth": 1, "born": "here", "phase": "backward"})) == {"num-unstable-expression": 2}


@pytest.mark.parametrize("losses", [[1.0, 40.0, 9e5], [0.7, 1e12]])
def test_an_overflow_after_the_loss_had_run_away_says_nothing_about_the_expression(losses):
    assert fired(run(LOGS, {"op": "log", "nth": 1, "born": "here"}, losses)) == {}


def test_one_step_that_threw_the_weights_away():
    case = run(LOGS, {"op": "log", "nth": 1, "born": "here"})
    case.metrics[2]["update_ratio"] = 30.0
    assert fired(case) == {}


def test_weights_that_were_not_finite_before_blame_no_operation_of_this_step():
    trace = [{"op": "softmax", "nan": 1.0, "site": at(1)}]
    assert fired(run(trace, {"op": "softmax", "nth": 1, "born": "here", "nonfinite_weights": ["head.weight"]})) == {}


MASK = [
    {"op": "ones", "dtype": "bool", "g": False, "site": at(9)},
    {"op": "tril", "in": [0], "dtype": "bool", "g": False, "site": at(10)},
    {"op": "masked_fill", "in": [1], "inf": 0.5, "nan": 0.0, "site": at(20)},
    {"op": "softmax", "in": [2], "site": at(21)},
]


def test_a_masked_row_points_at_the_mask():
    onset = {"op": "softmax", "nth": 1, "born": "here", "nan_rows": 0.1}
    assert fired(run(MASK, onset)) == {"num-fully-masked-row": 10}


def test_a_mask_from_outside_the_forward_leaves_the_softmax():
    onset = {"op": "softmax", "nth": 1, "born": "here", "nan_rows": 0.1}
    assert fired(run([{**MASK[2], "in": []}, {**MASK[3], "in": [0]}], onset)) == {"num-fully-masked-row": 21}


def test_scores_that_overflowed_in_float16_are_no_mask():
    onset = {"op": "softmax", "nth": 1, "born": "here", "nan_rows": 0.1, "dtype": "float16"}
    assert fired(run([], onset)) == {}


def test_a_masked_run_that_stays_finite_is_healthy():
    case = Case.of(trace=run(MASK).trace, metrics=[{"step": s, "loss": 1.0} for s in range(9)])
    assert fired(case) == {}


@pytest.mark.parametrize(
    ("by", "rule"), [("sum", "num-div-by-zero-norm"), ("std", "num-div-by-zero-norm"), ("mul", "num-unstable-expression")]
)
def test_a_division_is_told_by_what_it_divides_by(by, rule):
    trace = [{"op": "mul", "site": at(1)}, {"op": by, "site": at(2)}, {"op": "truediv", "in": [0, 1], "site": at(3)}]
    assert fired(run(trace, {"op": "div", "nth": 1, "born": "here", "share": 0.1})) == {rule: 3}


def forward(step: int, **facts: Any) -> dict:
    return {"kind": "forward", "grad": True, "step": step, "n": step, "inputs": [{"shape": [32, 8], **facts}], "site": at(5)}


def test_a_bad_batch_that_no_close_window_saw():
    given = {"op": "addmm", "nth": 1, "born": "given", "shape": [32, 8], "nonfinite": 0.01}
    assert fired(run([], given, events=[forward(0)])) == {"data-nan-or-inf-input": 5}
    assert fired(run([], given, events=[forward(0), forward(3)])) == {}, "the batch itself was looked at and finite"
    assert fired(run([], {**given, "shape": [32, 64]}, events=[forward(0)])) == {}, "a mask or a constant inside the model"


@pytest.mark.parametrize(("scores", "expected"), [({}, {"data-nan-or-inf-input": 7}), ({"nonfinite": 1.0}, {})])
def test_targets_with_missing_values(scores, expected):
    call = {
        "kind": "loss_call",
        "fn": "mse_loss",
        "grad": True,
        "step": 3,
        "input": scores,
        "target": {"nonfinite": 0.1},
        "site": at(7),
    }
    assert fired(run([], None, events=[forward(0), call])) == expected


def scaler(**book: Any) -> Case:
    row = {"kind": "scaler", "object": "scaler#0", "skips": [], "first_scale": 65536.0, "last_scale": 65536.0, "step": 100}
    return Case.of(events=[row | book])


@pytest.mark.parametrize(
    ("book", "status"),
    [
        ({"steps": 500, "skipped": 4, "skips": [1, 2, 3, 4], "last_scale": 4096.0}, "clear"),
        ({"steps": 6000, "skipped": 12, "skips": [*range(1, 11), 2010, 4012]}, "clear"),
        ({"steps": 500, "skipped": 480, "skips": [*range(1, 201)], "last_scale": 0.0}, "fired"),
        ({"steps": 500, "skipped": 60, "skips": [*range(100, 160)]}, "fired"),
        ({"steps": 8, "skipped": 8, "skips": [*range(1, 9)], "last_scale": 256.0}, "skipped"),
    ],
    ids=["finding its scale", "one in a growth interval", "nothing but skips", "from the hundredth step on", "too short"],
)
def test_skips_that_are_healthy_and_skips_that_are_not(book, status):
    assert run_rule(RULES["num-fp16-scale-collapse"], scaler(**book)).status == status


def half(dtype: str, lost: float, **calls: int) -> Case:
    probe = {"probe": "precision", "status": "ok", "result": {"dtype": dtype, "lost": lost, "worst": {}}}
    counts = [{"kind": "call_counts", "counts": calls}]
    return Case.of(probes=[probe], events=counts, metrics=[{"step": s, "zero_gradients": 0.9} for s in range(5)])


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (half("float16", 0.5), "fired"),
        (half("float16", 0.5, scaler_step=9), "clear"),
        (half("float16", 0.02), "clear"),
        (half("bfloat16", 0.0), "clear"),
    ],
    ids=["lost", "scaled", "few small ones", "bfloat16"],
)
def test_gradients_lost_to_float16(case, status):
    assert run_rule(RULES["num-fp16-no-scaler"], case).status == status
