"""The policy: what fails, what is known, what cannot be judged."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cognate.diagnosis.model import Crashed, Diagnosed, Diagnosis, Place, Subject
from cognate.errors import CaseError, SettingsError
from cognate.gate import Fingerprint, judge, read_baseline, write_baseline


def finding(name="leak", severity="error", kind="cause", explained_by=None, line=3, symbol="f"):
    return Diagnosed(
        rule=name.upper(), name=name, kind=kind, severity=severity, title=f"there is a {name}", proof="source",
        confidence=None, confidence_basis="unmeasured", evidence=(), location=Place("m.py", line, symbol, None),
        onset_step=None, explains=(), explained_by=explained_by, explanation="", fix=None, docs="",
    )  # fmt: skip


def diagnosis(*findings, status="unhealthy", crashed=()):
    return Diagnosis(
        {}, Subject("run", "", "t", 0), status, "so it is", (), findings, (), (),
        tuple(Crashed("BAD101", name, "boom") for name in crashed),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "fail_on", "verdict", "code"),
    [
        (diagnosis(finding()), "error", "fail", 1),
        (diagnosis(finding(severity="warning"), status="warning"), "error", "pass", 0),
        (diagnosis(finding(severity="warning"), status="warning"), "warning", "fail", 1),
        (diagnosis(finding(severity="info"), status="healthy"), "warning", "pass", 0),
        (diagnosis(finding()), "never", "pass", 0),
        (diagnosis(status="healthy"), "error", "pass", 0),
        (diagnosis(status="inconclusive"), "error", "cannot judge", 2),
        (diagnosis(status="inconclusive"), "never", "pass", 0),
        (diagnosis(finding(), crashed=["x"]), "error", "fail", 1),
        (diagnosis(status="healthy", crashed=["x"]), "error", "cannot judge", 3),
    ],
)
def test_verdict(given, fail_on, verdict, code):
    result = judge(given, fail_on)
    assert (result.verdict, result.exit_code) == (verdict, code)
    assert result.reasons


def test_baseline_knows_the_finding_when_its_line_moves(tmp_path):
    file = tmp_path / "deep" / "baseline.json"
    assert write_baseline(file, diagnosis(finding()), "error", "known since May") == 1
    known = read_baseline(file)
    moved = judge(diagnosis(finding(line=99)), "error", known)
    assert moved.verdict == "pass" and "known since May" in moved.known[0]
    assert judge(diagnosis(finding(symbol="g")), "error", known).verdict == "fail"
    assert judge(diagnosis(finding(), finding("other")), "error", known).failing[0].name == "other"


def test_what_a_known_cause_explains_is_known():
    known = {Fingerprint.of(finding()): "old"}
    chain = [finding("low", explained_by="leak", kind="symptom"), finding("odd", explained_by="low", kind="symptom")]
    assert judge(diagnosis(finding(), *chain), "error", known).verdict == "pass"
    assert judge(diagnosis(*chain), "error", {}).verdict == "fail"


def test_rewriting_keeps_reasons_and_forgets_the_repaired(tmp_path):
    file = tmp_path / "b.json"
    write_baseline(file, diagnosis(finding("a"), finding("b")), "error", "first")
    write_baseline(file, diagnosis(finding("b"), finding("c")), "error", "second", read_baseline(file))
    assert {key.rule: reason for key, reason in read_baseline(file).items()} == {"B": "first", "C": "second"}


def test_same_findings_same_bytes(tmp_path):
    a, b = finding("a"), finding("b")
    write_baseline(tmp_path / "1", diagnosis(a, b), "error", "r")
    write_baseline(tmp_path / "2", diagnosis(b, a), "error", "r")
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": "x"}', '{"schema": "cognate.baseline/1", "known": [3]}', "{"])
def test_what_is_no_baseline_is_named(tmp_path, text):
    file = tmp_path / "b.json"
    file.write_text(text)
    with pytest.raises((SettingsError, CaseError), match=r"b\.json"):
        read_baseline(file)


def test_evidence_that_cannot_be_hashed_is_no_obstacle():
    odd = replace(finding(), evidence=([1, 2],))
    assert judge(diagnosis(odd), "error", {Fingerprint.of(odd): "old"}).verdict == "pass"
