"""Losses and their targets: look-alikes of each fault, and what tells them apart."""

from __future__ import annotations

from math import log

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def status(name, **parts):
    return run_rule(RULES[name], Case.of(**parts))


def losses(fn, target, count=8, **fields):
    place = {"file": "train.py", "line": 30, "function": "fit"}
    base = {"kind": "loss_call", "fn": fn, "grad": True, "site": place, "target": target, "reduction": "mean", "coefficient": 1.0}
    rows = [base | {"step": step, "n": step} | fields for step in range(count)]
    return [*rows, {"kind": "call", "name": "step", "step": 0}]


@pytest.mark.parametrize(
    ("fn", "target", "fields", "expected"),
    [
        ("binary_cross_entropy_with_logits", {"min": -1.0, "max": 1.0}, {}, "fired"),
        ("binary_cross_entropy_with_logits", {"min": 0.05, "max": 0.95}, {}, "clear"),
        ("binary_cross_entropy", {"min": 0.0, "max": 1.0}, {"input_requires_grad": False}, "fired"),
        ("kl_div", {"min": 0.0, "max": 1.0}, {"input_requires_grad": False}, "clear"),
        ("soft_margin_loss", {"min": 0.0, "max": 1.0}, {}, "fired"),
        ("soft_margin_loss", {"min": -1.0, "max": 1.0}, {}, "clear"),
        ("cross_entropy", {"dtype": "int64"}, {"classes": 1, "value": 0.0}, "fired"),
        ("cross_entropy", {"dtype": "int64"}, {"classes": 2, "value": 0.0}, "clear"),
        ("cross_entropy", {"rows": "multi_hot"}, {"classes": 5}, "clear"),
    ],
)
def test_targets_that_a_loss_is_not_made_for(fn, target, fields, expected):
    assert status("loss-wrong-function", events=losses(fn, target, **fields)).status == expected


RATING = {"whole": True, "distinct": 5, "min": 0.0, "max": 4.0, "std": 1.4, "shape": [32]}
ROUNDED = "right = (model(x).round() == y).float().mean()\n"


@pytest.mark.parametrize(
    ("level", "source", "expected"), [(1.9, ROUNDED, "fired"), (0.4, ROUNDED, "clear"), (1.9, "print(loss)\n", "clear")]
)
def test_a_distance_to_class_numbers_counts_only_where_it_failed_and_classes_are_picked(level, source, expected):
    metrics = [{"step": step, "loss": level} for step in range(100)]
    outcome = status("loss-wrong-function", events=losses("mse_loss", RATING), metrics=metrics, source={"train.py": source})

    assert outcome.status == expected


TAIL = {"value": 0, "share": 0.3, "elsewhere": 0.0, "ignored_elsewhere": 0.0, "quiet": 1.0}


@pytest.mark.parametrize(
    ("tail", "ignore", "expected"),
    [
        ({"value": 4, "ignored_elsewhere": 0.4}, 0, "fired"),  # the class "outside" is left out in place of the padding
        ({}, -1, "fired"),  # a value that no label has
        ({}, 0, "clear"),
        ({}, -100, "clear"),  # nothing was said about padding: another fault's business
        ({"ignored_elsewhere": 0.5}, -100, "clear"),  # a prompt that is masked
        ({"elsewhere": 0.6, "ignored_elsewhere": 0.1}, 3, "clear"),  # rows that happen to end in the commonest class
        ({"quiet": 0.1, "ignored_elsewhere": 0.2}, 3, "clear"),  # the data go on where the labels stand still
    ],
)
def test_padding_that_the_loss_was_not_told_of(tail, ignore, expected):
    target = {"tail": TAIL | tail, "histogram": {"counts": {"0": 50, "1": 40, "3": 8, "4": 9}}}

    assert status("loss-ignore-index-mismatch", events=losses("cross_entropy", target, ignore_index=ignore)).status == expected


@pytest.mark.parametrize(("test", "expected"), [("labels < 4", "fired"), ("labels == 0", "clear"), ("labels < 0", "clear")])
def test_labels_that_are_left_out_by_their_size(test, expected):
    source = {"data.py": f"labels = labels.masked_fill({test}, -100)\n"}

    assert status("loss-ignore-index-mismatch", events=losses("cross_entropy", {"holes": 0.1}), source=source).status == expected


@pytest.mark.parametrize(("source", "expected"), [("pad_sequence(y, padding_value=-1)\n", "fired"), ("y = y - 1\n", "skipped")])
def test_a_negative_label_that_the_loss_refused(source, expected):
    info = {"exception": {"type": "IndexError", "message": "Target -1 is out of bounds.", "site": {"file": "t.py", "line": 3}}}

    assert status("loss-ignore-index-mismatch", info=info, source={"t.py": source}).status == expected


def preference(sides, hashes, zero=True):
    flag = {"zero": True} if zero else {}
    base = {"w": 40, "g": True, "ig": True, "site": {"file": "t.py", "line": 9}}
    trace = [base | {"i": i, "op": "gather", "in": [], "p": [side]} for i, side in enumerate(sides)]
    trace += [base | {"i": 2, "op": "sub", "in": [0, 1]} | flag, base | {"i": 3, "op": "log_sigmoid", "in": [2]}]
    forward = {"kind": "forward", "step": 40}
    events = [forward | {"object": side, "grad": i == 0, "inputs": [{"hash": hashes[i]}]} for i, side in enumerate(sides)]
    return {"trace": [*trace, {"w": 40, "root": 3, "nodes": 4}], "events": events}


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (preference(["p.w", "p.w"], [1, 1]), "fired"),
        (preference(["p.w", "p.w"], [1, 2]), "skipped"),  # a ranking of two items that has collapsed
        (
            preference(["p.w", "ref.w"], [1, 1]),
            "skipped",
        ),  # a copy that the policy has not left: why it does not learn is unknown
        (preference(["p.w", "p.w"], [1, 1], zero=False), "clear"),
    ],
)
def test_only_a_policy_that_is_compared_with_itself(parts, expected):
    metrics = [{"step": step, "loss": log(2)} for step in range(60)]

    assert status("loss-dpo-degenerate", metrics=metrics, **parts).status == expected


@pytest.mark.parametrize(
    ("crossing", "shuffles", "expected"),
    [
        ({"how": "flat", "wraps": False, "first": 0.1}, True, "fired"),
        ({"how": "flat", "wraps": False, "first": 0.1}, False, "skipped"),  # pieces of one text in one batch
        ({"how": "roll", "wraps": True, "first": 0.1}, False, "fired"),
        ({"how": "roll", "wraps": False, "first": 0.1}, False, "skipped"),  # the next piece of the text follows the last row
    ],
)
def test_rows_that_continue_one_another_are_left_alone(crossing, shuffles, expected):
    events = losses("cross_entropy", {"crossing": crossing | {"rows": 8, "input": 0}})
    events.append({"kind": "loader", "object": "loader#0", "shuffles": shuffles})

    assert status("loss-cross-row-shift", events=events).status == expected


def test_a_sum_whose_learning_rate_fits_is_left_alone():
    trace = [{"w": 1, "i": 0, "op": "mse_loss", "in": [], "g": True, "shape": []}, {"w": 1, "root": 0, "nodes": 1}]
    calls = losses("mse_loss", {}) + losses("mse_loss", {})
    calls = [c | {"reduction": "sum", "input": {"shape": [64, 1]}} if c["kind"] == "loss_call" else c for c in calls]
    healthy = [{"step": step, "loss": 64.0 / (1 + step / 20), "update_ratio": 1e-3} for step in range(100)]
    wild = [{"step": step, "loss": 64.0 * 1.2**step, "update_ratio": 0.5} for step in range(100)]

    assert status("loss-reduction-scale", events=calls, trace=trace, metrics=healthy).status == "clear"
    assert status("loss-reduction-scale", events=calls, trace=trace, metrics=wild).status == "fired"


@pytest.mark.parametrize(
    ("fn", "kind", "target", "expected"),
    [
        ("ctc_loss", "logits", {}, "fired"),
        ("ctc_loss", "log_probabilities", {}, "clear"),
        ("kl_div", "probabilities", {"kind": "probabilities", "shape": [32, 10]}, "fired"),
        ("kl_div", "logits", {"kind": "logits", "shape": [32, 10]}, "clear"),  # not over classes
    ],
)
def test_other_losses_over_log_probabilities(fn, kind, target, expected):
    events = losses(fn, target, input={"kind": kind, "shape": [32, 10]})

    assert status("loss-missing-activation", events=events).status == expected


def picked(made, last):
    base = {"w": 1, "g": True, "ig": True, "site": {"file": "t.py", "line": 7}}
    trace = [
        base | {"i": 0, "op": made, "in": [], "shape": [32, 10]},
        base | {"i": 1, "op": "gather", "in": [0], "shapes": [[32, 10], [32, 1]], "shape": [32, 1]},
        base | {"i": 2, "op": "mean", "in": [1], "shape": []},
        base | {"i": 3, "op": last, "in": [2], "shape": [], "a": {"scalar": 2.0}},
        {"w": 1, "root": 3, "nodes": 4},
    ]
    return {"trace": trace, "events": [{"kind": "call", "name": "step", "step": 0}]}


@pytest.mark.parametrize(
    ("made", "last", "expected"),
    [("linear", "neg", "fired"), ("softmax", "neg", "fired"), ("log_softmax", "neg", "clear"), ("linear", "mul", "clear")],
)
def test_a_likelihood_that_was_picked_by_hand(made, last, expected):
    assert status("loss-missing-activation", **picked(made, last)).status == expected


@pytest.mark.parametrize(
    ("made", "dim", "expected"), [("softmax", -1, "fired"), ("softmax", 0, "clear"), ("linear", None, "clear")]
)
def test_a_log_softmax_of_a_softmax_by_hand(made, dim, expected):
    base = {"w": 1, "g": True, "ig": True, "shape": [32, 10], "site": {"file": "t.py", "line": 7}}
    trace = [
        base | {"i": 0, "op": made, "in": [], "a": {"dim": dim}},
        base | {"i": 1, "op": "log_softmax", "in": [0], "a": {"dim": -1}},
        base | {"i": 2, "op": "mean", "in": [1], "shape": []},
        {"w": 1, "root": 2, "nodes": 3},
    ]
    events = [
        {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "step": s, "input": {"kind": "logits"}} for s in range(6)
    ]
    events.append({"kind": "call", "name": "step", "step": 0})

    assert status("loss-softmax-twice", trace=trace, events=events).status == expected
