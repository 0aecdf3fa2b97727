"""From outcomes to root causes: folding, ranking, status, and the same bytes every time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognate.case.case import Case
from cognate.case.store import Appender, write_json
from cognate.diagnosis import diagnose
from cognate.discovery import Skill, load_skills
from cognate.rules import Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, Skip, rule

CAUSE, SYMPTOM, PRACTICE = Kind.CAUSE, Kind.SYMPTOM, Kind.PRACTICE
ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO


def ruled(code, name, kind, *said, severity=ERROR, explains=(), core=False):
    def judge(case):
        """Something is off.

        It should not be.
        """
        for item in said:
            if isinstance(item, Exception):
                raise item
            yield item

    return rule(
        code=code,
        name=name,
        severity=severity,
        kind=kind,
        explains=explains,
        core=core,
        fires=Example(),
        quiet=Example(),
    )(judge)


def found(title="it is so", proof=Proof.MEASUREMENT, onset=None, **given):
    return Finding(title, proof, onset_step=onset, **given)


def judged(*rules, **info):
    skill = Skill("test-skill", "For tests.", "1", Path(), "folder", tuple(rules))
    return diagnose(Case.of(info={"kind": "run", "title": "t", **info}), [skill])


def names(items):
    return [item.name for item in items]


def test_a_symptom_is_folded_under_its_cause():
    cause = ruled("CCC101", "cause", CAUSE, found(), explains={"symptom"})
    symptom = ruled("AAA101", "symptom", SYMPTOM, found(proof=Proof.EXPERIMENT))
    done = judged(symptom, cause)
    assert names(done.root_causes) == ["cause"] and names(done.findings) == ["cause", "symptom"]
    assert done.findings[1].explained_by == "cause" and done.root_causes[0].explains == ("symptom",)
    assert (done.status, done.reason) == ("unhealthy", "1 root cause found")


def test_a_symptom_alone_is_no_root_cause():
    done = judged(ruled("AAA101", "symptom", SYMPTOM, found("the loss diverged")))
    assert done.root_causes == () and done.findings[0].explained_by is None
    assert (done.status, done.reason) == ("unhealthy", "the loss diverged; no rule could say why")


@pytest.mark.parametrize(
    ("cause", "effect", "folded"),
    [(0, 5, True), (5, 5, True), (6, 5, False), (None, 5, True), (6, None, True), (None, None, True)],
)
def test_a_cause_explains_nothing_that_began_before_it(cause, effect, folded):
    done = judged(
        ruled("CCC101", "cause", CAUSE, found(onset=cause), explains={"symptom"}),
        ruled("AAA101", "symptom", SYMPTOM, found(onset=effect)),
    )
    assert (done.findings[-1].explained_by == "cause") is folded
    assert names(done.root_causes) == ["cause"]


def test_a_cause_can_be_the_effect_of_another():
    deep = ruled("CCC102", "deep", CAUSE, found(), severity=WARNING, explains={"shallow"})
    shallow = ruled("CCC101", "shallow", CAUSE, found(), explains={"symptom"})
    symptom = ruled("AAA101", "symptom", SYMPTOM, found())
    done = judged(deep, shallow, symptom)
    assert names(done.root_causes) == ["deep"]
    assert {f.name: f.explained_by for f in done.findings} == {"deep": None, "shallow": "deep", "symptom": "shallow"}


def test_of_two_causes_that_explain_each_other_the_better_proved_one_stands():
    a = ruled("CCC101", "guess", CAUSE, found(proof=Proof.INFERENCE), explains={"proof"})
    b = ruled("CCC102", "proof", CAUSE, found(proof=Proof.EXPERIMENT), explains={"guess"})
    done = judged(a, b)
    assert names(done.root_causes) == ["proof"] and done.findings[1].explained_by == "proof"


def test_three_causes_in_a_ring_do_not_explain_each_other_away():
    ring = [ruled(f"CCC10{i}", f"c{i}", CAUSE, found(), explains={f"c{(i + 1) % 3}"}) for i in range(3)]
    assert judged(*ring).root_causes


def test_a_practice_explains_nothing():
    done = judged(
        ruled("PPP101", "practice", PRACTICE, found(), explains={"symptom"}),
        ruled("AAA101", "symptom", SYMPTOM, found()),
    )
    assert all(item.explained_by is None for item in done.findings)


def test_a_finding_may_be_milder_or_another_kind_than_its_rule():
    done = judged(ruled("CCC101", "cause", CAUSE, found(severity=INFO)), ruled("CCC102", "other", CAUSE, found(kind=SYMPTOM)))
    assert [(f.name, f.kind, f.severity) for f in done.findings] == [
        ("cause", "cause", "info"),
        ("other", "symptom", "error"),
    ]
    assert done.root_causes == ()


RANKED = [
    ruled("ZZZ101", "experiment", CAUSE, found(proof=Proof.EXPERIMENT)),
    ruled("YYY101", "explains-two", CAUSE, found(), explains={"s1", "s2"}),
    ruled("XXX101", "explains-one", CAUSE, found(), explains={"s1"}),
    ruled("WWW101", "early", CAUSE, found(onset=1)),
    ruled("VVV101", "late", CAUSE, found(onset=9)),
    ruled("DDD101", "unknown-onset", CAUSE, found()),
    ruled("DDD102", "next-code", CAUSE, found("a"), found("b")),
    ruled("CCC101", "source", CAUSE, found(proof=Proof.SOURCE)),
    ruled("BBB101", "inference", CAUSE, found(proof=Proof.INFERENCE)),
    ruled("AAA101", "warning", CAUSE, found(proof=Proof.EXPERIMENT), severity=WARNING),
    ruled("SSS101", "s1", SYMPTOM, found()),
    ruled("SSS102", "s2", SYMPTOM, found()),
]


def test_the_order_of_root_causes():
    expected = [
        "experiment", "explains-two", "explains-one", "early", "late", "unknown-onset", "next-code", "next-code", "source",
        "inference", "warning",
    ]  # fmt: skip
    assert names(judged(*RANKED).root_causes) == expected


@settings(deadline=None, max_examples=40)
@given(st.permutations(RANKED))
def test_the_order_of_the_rules_does_not_matter(rules):
    assert judged(*rules).to_json() == judged(*RANKED).to_json()


CLEAR = [Clear("seen")]


@pytest.mark.parametrize(
    ("rules", "info", "status", "words"),
    [
        ([ruled("AAA101", "a", CAUSE, *CLEAR, core=True)], {}, "healthy", "1 of 1 core rules were checked and clear"),
        ([ruled("AAA101", "a", CAUSE, *CLEAR)], {}, "inconclusive", "only 0 of 0 core rules"),
        ([], {}, "inconclusive", "only 0 of 0"),
        (
            [
                ruled("AAA101", "a", CAUSE, *CLEAR, core=True),
                ruled("AAA102", "b", CAUSE, Skip("blind"), core=True),
                ruled("AAA103", "c", CAUSE, Skip("blind"), core=True),
            ],
            {},
            "inconclusive",
            "only 1 of 3 core rules could be checked",
        ),
        (
            [ruled("AAA101", "a", CAUSE, *CLEAR, core=True)],
            {"exception": {"type": "KeyError"}},
            "inconclusive",
            "ended with KeyError and no rule could say why",
        ),
        (
            [ruled("AAA101", "a", CAUSE, found("slow"), severity=WARNING)],
            {},
            "warning",
            "a root cause at warning level: slow",
        ),
        ([ruled("AAA101", "a", SYMPTOM, found("odd"), severity=WARNING)], {}, "warning", "no rule could explain: odd"),
        (
            [ruled("AAA101", "a", CAUSE, *CLEAR, core=True), ruled("AAA102", "b", CAUSE, found(severity=INFO))],
            {},
            "healthy",
            "1 of 1",
        ),
        (
            [ruled("AAA101", "a", CAUSE, found()), ruled("AAA102", "b", CAUSE, found())],
            {},
            "unhealthy",
            "2 root causes found",
        ),
        ([ruled("AAA101", "a", CAUSE, ValueError("bug"), core=True)], {}, "inconclusive", "only 0 of 1"),
    ],
)
def test_the_status_says_what_is_known(rules, info, status, words):
    done = judged(*rules, **info)
    assert done.status == status and words in done.reason


def test_an_explained_error_leaves_its_cause_to_decide():
    done = judged(
        ruled("CCC101", "cause", CAUSE, found("mild"), severity=WARNING, explains={"symptom"}),
        ruled("AAA101", "symptom", SYMPTOM, found()),
    )
    assert (done.status, done.reason) == ("warning", "a root cause at warning level: mild")


def test_everything_is_accounted_for():
    done = judged(
        ruled("AAA101", "fires", CAUSE, found()),
        ruled("AAA102", "clears", CAUSE, *CLEAR, core=True),
        ruled("AAA103", "skips", CAUSE, Skip("blind", "open your eyes")),
        ruled("AAA104", "crashes", CAUSE, ValueError("bug")),
    )
    assert [(p.name, p.evidence, p.core) for p in done.passed] == [("clears", "seen", True)]
    assert [(n.name, n.reason, n.how) for n in done.not_checked] == [("skips", "blind", "open your eyes")]
    assert [(c.name, c.error) for c in done.crashed] == [("crashes", "ValueError: bug")]
    assert done.findings[0].docs == "cognate rule fires" and done.findings[0].confidence_basis == "unmeasured"
    assert done.tool["skills"] == {"test-skill": "1"}


def test_the_json_is_strict_and_keeps_the_published_keys():
    finding = found(
        evidence=(Evidence("loss", float("nan"), "finite", "metrics.jsonl"),),
        fix=Fix("Do it", ("step",), ("cmd",)),
        location=Location("a.py", 3, "f", "m"),
    )
    text = judged(ruled("AAA101", "a", CAUSE, finding)).to_json()
    plain = json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert list(plain)[:5] == ["schema", "tool", "subject", "status", "reason"] and plain["schema"] == "cognate.diagnosis/1"
    (item,) = plain["root_causes"]
    assert item["evidence"] == [{"what": "loss", "value": None, "expected": "finite", "from": "metrics.jsonl"}]
    assert item["location"] == {"file": "a.py", "line": 3, "symbol": "f", "module": "m"}
    assert item["fix"]["steps"] == ["step"] and item["fix"]["proved_by"] is None


@pytest.fixture
def folder(tmp_path):
    write_json(tmp_path / "case.json", {"kind": "run", "origin": "live", "title": "t", "integrity": {"steps_seen": 80}})
    appender = Appender(tmp_path / "metrics.jsonl")
    appender.write(*({"step": i, "loss": 1.0 + 0.1 * i if i < 60 else None} for i in range(80)))
    appender.close()
    return tmp_path


def test_the_same_case_gives_the_same_bytes(folder):
    texts = {diagnose(Case.open(folder), load_skills()).to_json() for _ in range(2)}
    program = "import sys; from cognate import diagnose; sys.stdout.write(diagnose(sys.argv[1]).to_json())"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PATH": "", "PYTHONUTF8": "1"}
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder)],
            cwd=folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=True,
        )
        texts.add(done.stdout)
    assert len(texts) == 1


def test_judging_imports_neither_torch_nor_the_observing_side(folder):
    program = """
import sys
from cognate import diagnose
print(diagnose(sys.argv[1]).status)
heavy = ("torch", "numpy", "rich", "jinja2")
print([name for name in sys.modules if name.partition(".")[0] in heavy or "cognate.observe" in name])
"""
    done = subprocess.run([sys.executable, "-c", program, str(folder)], cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("file", ["metrics.jsonl", "events.jsonl", "trace.jsonl", "probes.jsonl", "layers.jsonl"])
def test_files_of_junk_crash_no_rule(folder, file):
    junk = b'\0\0\n{"step":\n[1]\n{"kind":"call"}\n{"step":null,"loss":"x"}\n{"w":1,"i":0}\n{"probe":"causality","status":"ok"}\n'
    (folder / file).write_bytes(junk)
    done = diagnose(Case.open(folder), load_skills())
    assert done.status in ("healthy", "warning", "unhealthy", "inconclusive")
    assert json.loads(done.to_json())
