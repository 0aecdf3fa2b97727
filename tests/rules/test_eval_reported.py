"""Results beside what their batches amount to: wrong averages, and the many right or harmless ways to print one."""

from __future__ import annotations

import math

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules import Severity
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
SCALES = (1.0, 0.8, 0.65, 0.6)


def evaluation(step: int, batches: list[tuple[float, int]], fn: str = "cross_entropy", counted: list[int] | None = None) -> dict:
    """One evaluation event of batches (value, samples)."""
    values, rows = [v for v, _ in batches], [r for _, r in batches]
    counts = counted or rows
    value = {"fn": fn, "file": "t.py", "line": 20, "calls": len(batches), "sum": sum(values), "rows": sum(rows)}
    value |= {"by_rows": sum(v * r for v, r in batches), "counted": sum(counts), "squares": sum(v * v for v in values)}
    value |= {"by_counted": sum(v * c for v, c in zip(values, counts, strict=True))}
    value |= {"exp": sum(map(math.exp, values)), "root": sum(map(math.sqrt, values))}
    sizes = {"batches": len(batches), "rows": sum(rows), "first": rows[0], "smallest": min(rows), "largest": max(rows)}
    place = {
        "step": step,
        "n": 10 * step + 5,
        "begun": 10 * step + 1,
        "last": 10 * step + 3,
        "site": {"file": "t.py", "line": 20},
    }
    return (
        {"kind": "evaluation", "object": "model#0 Net", "loader": "loader#1", "number": step, "values": [value]} | sizes | place
    )


def run(line: str, formula, batches: list[tuple[float, int]], **more) -> Case:  # type: ignore[no-untyped-def]
    """Four evaluations, each followed by `line` with what `formula` makes of its sums."""
    events = []
    for step, scale in enumerate(SCALES, 1):
        event = evaluation(step, [(v * scale, r) for v, r in batches], **more)
        events += [event, {"kind": "print", "step": step, "n": 10 * step + 4, "text": line.format(formula(event["values"][0]))}]
    return Case.of(events=sorted(events, key=lambda e: e["n"]))


def judge(case: Case):
    return run_rule(RULES["eval-metric-aggregation"], case)


RAGGED = [(0.9, 64), (0.7, 64), (2.4, 8)]
EVEN = [(0.9, 64), (0.7, 64), (0.8, 64)]


@pytest.mark.parametrize(
    ("line", "formula", "said"),
    [
        ("val loss {:.4f}", lambda v: v["sum"] / v["rows"], "divided by the number of samples"),
        ("val loss {:.4f}", lambda v: v["by_rows"] / v["calls"], "divided by the number of batches"),
        ("val loss {:.4f}", lambda v: v["sum"] / v["calls"], "mean of batch means"),
        ("val loss {:.4f}", lambda v: v["by_rows"] / (3 * 64), "as if every batch were full"),
        ("val ppl {:.3f}", lambda v: v["exp"] / v["calls"], "e to their loss"),
        ("val rmse {:.3f}", lambda v: v["root"] / v["calls"], "roots"),
    ],
)
def test_wrong_averages_are_told_by_their_digits(line, formula, said):
    outcome = judge(run(line, formula, RAGGED))
    assert outcome.status == "fired" and said in outcome.findings[0].title


@pytest.mark.parametrize(
    ("line", "formula"),
    [
        ("val loss {:.4f}", lambda v: v["by_rows"] / v["rows"]),
        ("val ppl {:.3f}", lambda v: math.exp(v["by_rows"] / v["rows"])),
        ("val rmse {:.3f}", lambda v: math.sqrt(v["by_rows"] / v["rows"])),
        ("val acc {:.2f}", lambda v: 100 * v["by_rows"] / v["rows"]),
        ("val loss {:.4f}", lambda v: v["by_rows"] / v["rows"] + 0.37),  # with a penalty: not a mean of these alone
        ("train loss {:.4f}", lambda v: v["sum"] / v["rows"]),  # not a validation result
        ("val loss {:.1f}", lambda v: v["sum"] / v["rows"]),  # too few digits to tell
    ],
)
def test_right_means_and_what_is_something_else_are_left_alone(line, formula):
    assert judge(run(line, formula, RAGGED)).status != "fired"


def test_equal_batches_do_no_harm():
    assert judge(run("val loss {:.4f}", lambda v: v["sum"] / v["calls"], EVEN)).status == "clear"


def test_a_short_last_batch_that_hardly_matters_is_left_alone():
    batches = [(0.8, 64)] * 9 + [(0.9, 30)]
    assert judge(run("val loss {:.4f}", lambda v: v["sum"] / v["calls"], batches)).status == "clear"


def test_a_mean_over_scored_tokens_is_right_too():
    tokens = run("val loss {:.4f}", lambda v: v["by_counted"] / v["counted"], EVEN, counted=[900, 100, 400])
    samples = run("val loss {:.4f}", lambda v: v["by_rows"] / v["rows"], EVEN, counted=[900, 100, 400])
    assert judge(tokens).status == judge(samples).status == "clear"


def test_how_bad_it_is_goes_by_how_far_it_is_off():
    little = judge(run("val loss {:.4f}", lambda v: v["sum"] / v["calls"], [(0.8, 64)] * 4 + [(1.2, 16)])).findings[0]
    grave = judge(run("val loss {:.4f}", lambda v: v["sum"] / v["rows"], EVEN)).findings[0]
    assert little.severity is Severity.WARNING and grave.severity is None


def test_a_pass_that_progress_lines_cut_is_one_evaluation():
    events = []
    for step, scale in enumerate(SCALES, 1):
        first, second = evaluation(step, [(scale, 64)]), evaluation(step, [(2 * scale, 32)])
        second |= {"begun": 10 * step + 5, "last": 10 * step + 6, "n": 10 * step + 8}
        events += [first, {"kind": "print", "step": step, "n": 10 * step + 4, "text": "batch 1 of 2"}, second]
        events.append({"kind": "print", "step": step, "n": 10 * step + 7, "text": f"val loss {4 * scale / 3:.4f}"})
    assert judge(Case.of(events=sorted(events, key=lambda e: e["n"]))).status == "clear"


def test_a_sum_over_the_batch_asks_for_other_divisors():
    case = run("val loss {:.4f}", lambda v: v["sum"] / v["rows"], RAGGED)
    call = {"kind": "loss_call", "step": 1, "n": 12, "fn": "cross_entropy", "grad": False, "reduction": "sum"}
    call |= {"site": {"file": "t.py", "line": 20}}
    assert judge(Case.of(events=[*case.all_events, call])).status == "clear"


def test_dropout_explains_a_validation_loss_below_that_of_training():
    rule = RULES["eval-val-better-than-train"]
    parts = dict(rule.fires.parts)
    assert run_rule(rule, Case.of(**parts)).status == "fired"
    gap = {"train": 1.0, "eval": 0.35, "modules": ["Dropout"]}
    parts["probes"] = [{"probe": "mode_gap", "status": "ok", "step": 40, "module": "Net", "result": gap}]
    assert run_rule(rule, Case.of(**parts)).status == "clear"


def test_another_loss_in_training_is_no_comparison():
    rule = RULES["eval-val-better-than-train"]
    events = [e | {"label_smoothing": 0.1} if e["kind"] == "loss_call" else e for e in rule.fires.parts["events"]]
    assert run_rule(rule, Case.of(events=events)).status == "skipped"


def test_test_data_that_choose_need_validation_data_beside_them():
    rule = RULES["eval-test-used-for-selection"]
    source = rule.fires.parts["source"]["t.py"]
    alone = source.replace("val_loader, ", "")
    assert run_rule(rule, Case.of(source={"t.py": source}, events=rule.fires.parts["events"])).status == "fired"
    assert run_rule(rule, Case.of(source={"t.py": alone}, events=rule.fires.parts["events"])).status == "clear"
    assert run_rule(rule, Case.of(source={"t.py": source}, events=[])).status == "skipped"


def test_stale_statistics_need_the_cure_to_work():
    rule = RULES["eval-bn-stats-stale"]
    probe = rule.fires.parts["probes"][0]
    small = probe | {"result": probe["result"] | {"recalibrated": 2.7}}  # it is the mode, not the statistics
    early = probe | {"step": 10}
    assert run_rule(rule, Case.of(probes=[small])).status == "clear"
    assert run_rule(rule, Case.of(probes=[early])).status == "skipped"


def test_a_backward_in_evaluation_mode_needs_its_graph():
    rule = RULES["eval-grad-enabled"]
    events = list(rule.fires.parts["events"])
    inside = [
        {"kind": "call", "name": "backward", "step": e["step"], "n": e["n"] + 2.5} for e in events if e.get("name") == "eval"
    ]
    assert run_rule(rule, Case.of(events=events)).status == "fired"
    assert run_rule(rule, Case.of(events=sorted([*events, *inside], key=lambda e: e["n"]))).status == "clear"


@pytest.mark.parametrize(
    ("kept", "accuracy", "severity"),
    [((400, 800), None, Severity.INFO), ((400, 1600), None, None), ((), [0.8, 0.82], Severity.INFO), ((), [0.8, 0.6], None)],
)
def test_overfitting_that_costs_nothing_is_told_not_held_against_the_run(kept, accuracy, severity):
    metrics = [{"step": 100 * s, "loss": 2.0 / s} for s in range(1, 21)]
    metrics += [{"step": 100 * s, "val_loss": 1.0 + 0.09 * abs(s - 8)} for s in range(1, 21)]
    events: list[dict] = [{"kind": "checkpoint", "name": "save", "step": s, "n": s} for s in kept]
    if accuracy:
        metrics += [{"step": 100 * s, "user": {"val_acc": accuracy[s > 9]}} for s in range(1, 21)]
    finding = run_rule(RULES["eval-overfit"], Case.of(metrics=metrics, events=events)).findings[0]
    assert finding.severity is severity


def falling(known: bool):  # type: ignore[no-untyped-def]
    """A loss that falls to an eighth in 300 steps, looked at closely up to step 240; evaluations."""
    level = [0.993**step for step in range(301)]
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "training": True, "reduction": "mean"}
    events = [call | {"step": s, "n": 10 * s, "value": level[s]} for s in range(200, 240)]
    events += [evaluation(s, [(level[s], 32)]) for s in (240, 270, 300)]
    metrics = [{"step": s, "loss": value} for s, value in enumerate(level)] if known else []
    return run_rule(RULES["eval-val-better-than-train"], Case.of(events=events, metrics=metrics))


def test_a_loss_that_fell_since_it_was_looked_at_is_known_from_each_step():
    assert (falling(known=True).status, falling(known=False).status) == ("clear", "fired")
