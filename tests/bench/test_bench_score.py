"""Scoring on truth and diagnoses made by hand, and the figures made from it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognate.bench.baseline import compare, read_baseline
from cognate.bench.cache import Observed
from cognate.bench.corpus import Program
from cognate.bench.engine import Result
from cognate.bench.report import as_json, as_markdown, as_text, document
from cognate.bench.score import METRICS, Rate, Scored, groups, middle_and_tail, rate, score
from cognate.errors import UsageError

FOLDER = Path("nowhere")
BY_KEY = {metric.key: metric for metric in METRICS}


def faulty(identity: str = "p", **truth: Any) -> Program:
    given = {"cause": "loss-softmax-twice", "right": frozenset({"loss-softmax-twice", "loss-other-name"}), "family": "LOSS"}
    culprit = (("train.py", 10, 10),)
    return Program(identity, FOLDER, "faulty", "base", **{"culprit": culprit, **given, **truth})


def finding(name: str, severity: str = "error", kind: str = "cause", line: int | None = 10, **facts: Any) -> dict[str, Any]:
    place = {"file": "train.py", "line": line, "symbol": None, "module": None} if line else None
    code = name.split("-")[0].upper() + "101"
    shape = {"rule": code, "name": name, "severity": severity, "kind": kind, "proof": "source", "explained_by": None}
    return {**shape, "location": place, **facts}


def scored(program: Program, *findings: dict[str, Any]) -> Scored:
    roots = [f for f in findings if f["kind"] == "cause" and f["explained_by"] is None and f["severity"] != "info"]
    diagnosis = {"status": "unhealthy", "findings": list(findings), "root_causes": roots}
    return score(Result(program, Observed("ok", 0, 2.0, 1.0, ""), diagnosis, False))


def test_the_right_cause_first():
    item = scored(faulty(), finding("loss-softmax-twice", line=13), finding("grad-vanishing"))
    assert (item.detected, item.first, item.root, item.found, item.located, item.distance) == (True, True, True, True, True, 3)
    assert item.roots == ("loss-softmax-twice", "grad-vanishing")


def test_an_alternative_of_the_truth_is_as_right():
    assert scored(faulty(), finding("loss-other-name")).first


def test_the_right_cause_second_is_no_first():
    item = scored(faulty(), finding("grad-vanishing"), finding("loss-softmax-twice", line=14))
    assert (item.first, item.root, item.located, item.distance) == (False, True, False, 4)


def test_a_right_cause_that_another_explains_is_found_but_no_root_cause():
    item = scored(faulty(), finding("grad-vanishing"), finding("loss-softmax-twice", explained_by="grad-vanishing"))
    assert (item.root, item.found) == (False, True)
    assert item.claims == (("grad-vanishing", "source", False),)


def test_a_symptom_detects_nothing_and_claims_that_something_is_off():
    item = scored(faulty(), finding("loss-not-decreasing", kind="symptom"))
    assert (item.detected, item.root, item.symptoms) == (False, False, ("loss-not-decreasing",))
    assert item.claims == (("loss-not-decreasing", "source", True),)
    healthy = Program("h", FOLDER, "healthy", "h")
    assert scored(healthy, finding("loss-not-decreasing", kind="symptom")).claims == (("loss-not-decreasing", "source", False),)


def test_info_and_the_machine_are_no_alarm():
    item = scored(Program("h", FOLDER, "fixed", "h"), finding("env-broken-install"), finding("eval-overfit", "info"))
    assert (item.detected, item.errors, item.warnings, item.roots, item.claims) == (False, (), (), (), ())


def test_the_machine_ahead_of_the_cause_does_not_push_it_from_the_first_place():
    assert scored(faulty(), finding("env-broken-install"), finding("loss-softmax-twice")).first


def test_errors_and_warnings_are_told_apart():
    item = scored(Program("h", FOLDER, "healthy", "h"), finding("grad-spike"), finding("eval-overfit", "warning", "symptom"))
    assert (item.errors, item.warnings) == (("grad-spike",), ("eval-overfit",))


@pytest.mark.parametrize(
    ("file", "line", "near"),
    [
        ("train.py", 10, True),
        ("/tmp/x/train.py", 13, True),
        ("train.py", 14, False),
        ("pkg/net.py", 22, True),
        ("net.py", 27, True),
        ("net.py", 28, False),
        ("other/net.py", 22, False),
        ("strain.py", 10, False),
    ],
)
def test_a_place_is_near_by_file_and_line(file, line, near):
    program = faulty(culprit=(("train.py", 10, 10), ("pkg/net.py", 20, 24)))
    item = scored(program, finding("loss-softmax-twice", location={"file": file, "line": line}))
    assert item.located is near


def test_without_a_diagnosis_nothing_was_found():
    item = score(Result(faulty(), Observed("timed out", None, 60.0, 60.0, "at step 3"), None, False))
    assert (item.detected, item.root, item.ended) == (False, False, "timed out")


@settings(deadline=None)
@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_holds_the_share_and_stays_within_bounds(hits, misses):
    measured = Rate(hits, hits + misses)
    low, high = measured.interval
    assert 0 <= low <= high <= 1
    if measured.of:
        assert low - 1e-12 <= measured.value <= high + 1e-12
        mirrored = Rate(misses, hits + misses).interval
        assert math.isclose(low, 1 - mirrored[1], abs_tol=1e-9) and math.isclose(high, 1 - mirrored[0], abs_tol=1e-9)


@settings(deadline=None)
@given(st.integers(0, 50), st.integers(1, 50), st.integers(2, 20))
def test_more_programs_narrow_the_interval(hits, more, times):
    of = hits + more
    width = [high - low for low, high in (Rate(hits, of).interval, Rate(hits * times, of * times).interval)]
    assert width[1] < width[0]


def test_wilson_as_published():
    # Agresti and Coull 1998, Am. Stat. 52, 119–126: no success in ten trials gives 0 to 0.278.
    assert Rate(0, 10).interval == (0.0, pytest.approx(0.2775, abs=1e-4))


OUTCOME = st.tuples(st.sampled_from(["faulty", "fixed", "healthy"]), st.booleans(), st.sampled_from(["error", "warning"]))


@settings(deadline=None)
@given(st.lists(OUTCOME, max_size=30))
def test_every_program_counts_once_in_what_it_belongs_to(outcomes):
    items = []
    for number, (kind, hit, level) in enumerate(outcomes):
        program = faulty(f"p{number}") if kind == "faulty" else Program(f"p{number}", FOLDER, kind, f"p{number}")
        items.append(scored(program, *([finding("loss-softmax-twice", level)] if hit else [])))
    of = {kind: [o for o in outcomes if o[0] == kind] for kind in ("faulty", "fixed", "healthy")}
    assert rate(BY_KEY["root"], items) == Rate(sum(hit for _, hit, _ in of["faulty"]), len(of["faulty"]))
    for kind in ("fixed", "healthy"):
        for level, word in (("error", "alarm"), ("warning", "warned")):
            hits = sum(hit and which == level for _, hit, which in of[kind])
            assert rate(BY_KEY[f"{word}_{kind}"], items) == Rate(hits, len(of[kind]))


def test_a_fixed_twin_belongs_to_the_families_it_repairs():
    twin = scored(Program("base", FOLDER, "fixed", "base", style="flat"))
    stranger = scored(Program("another", FOLDER, "fixed", "another", style="argparse"))
    by = groups([scored(faulty("a")), scored(faulty("b", family="GRAD")), twin, stranger])
    assert [item.program.id for item in by["family"]["LOSS"]] == ["a", "base"]
    assert [item.program.id for item in by["family"]["GRAD"]] == ["b", "base"]
    assert set(by["style"]) == {"flat", "argparse", "other"} and set(by["part"]) == {"dev"}


def test_median_and_tail():
    assert middle_and_tail([]) == (0.0, 0.0)
    assert middle_and_tail([3.0, 1.0, 2.0, 10.0]) == (2.5, 10.0)
    assert middle_and_tail(map(float, range(1, 101))) == (50.5, 95.0)


def result(*items: Scored) -> dict[str, Any]:
    return document(items, "corpus", {"python": "3"}, ["loss-softmax-twice"])


def test_the_document_says_what_was_said_instead():
    found = result(
        scored(faulty("a"), finding("grad-vanishing")),
        scored(faulty("b"), finding("grad-vanishing"), finding("loss-softmax-twice")),
        scored(faulty("c"), finding("loss-not-decreasing", kind="symptom")),
        scored(faulty("d", cause="opt-odd", right=frozenset({"opt-odd"}))),
        scored(Program("h", FOLDER, "healthy", "h"), finding("eval-overfit", "warning")),
    )
    said = {(row["cause"], row["said"]): row["ids"] for row in found["confusion"]}
    assert said == {
        ("loss-softmax-twice", "grad-vanishing"): ["a"],
        ("loss-softmax-twice", "grad-vanishing (the right one after it)"): ["b"],
        ("loss-softmax-twice", "no cause; symptom loss-not-decreasing"): ["c"],
        ("opt-odd", "nothing (unhealthy)"): ["d"],
    }
    assert found["alarms"] == [{"level": "warning", "rule": "eval-overfit", "ids": ["h"]}]
    assert found["no_rule"] == {"opt-odd": 1}
    assert json.loads(as_json(found)) == found
    for text in (as_text(found), as_markdown(found)):
        assert "1/4 (5–70 %)" in text and "eval-overfit" in text and "opt-odd" in text


def test_a_comparison_names_what_became_worse(tmp_path):
    healthy = Program("h", FOLDER, "healthy", "h")
    good = result(scored(faulty("a"), finding("loss-softmax-twice")), scored(healthy, finding("eval-overfit", "warning")))
    bad = result(scored(faulty("a"), finding("grad-vanishing")), scored(healthy, finding("eval-overfit", "error")))
    (tmp_path / "good.json").write_text(as_json(good))
    before = read_baseline(tmp_path / "good.json")
    assert compare(good, before).regressions == ()
    assert compare(bad, before).regressions == (
        "a: lost the cause loss-softmax-twice; it says grad-vanishing",
        "h: new false alarm eval-overfit (error) on a healthy program",
    )
    back = compare(good, {row["id"]: row for row in bad["programs"]})
    assert (back.regressions, back.gained, back.compared, back.absent) == ((), 1, 2, 0)


def test_a_new_program_has_no_cause_to_lose_and_no_alarm_to_keep():
    new = result(scored(faulty("a")), scored(Program("h", FOLDER, "fixed", "h"), finding("eval-overfit", "warning")))
    comparison = compare(new, {"gone": {"id": "gone"}})
    assert comparison.regressions == ("h: new false alarm eval-overfit (warning) on a fixed program",)
    assert comparison.absent == 1


@pytest.mark.parametrize("text", ["[]", "{", '{"schema": "cognate.baseline/1", "programs": []}', '{"schema": "cognate.bench/1"}'])
def test_a_baseline_that_is_none_is_named(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=r"x\.json is no result of the bench"):
        read_baseline(tmp_path / "x.json")
