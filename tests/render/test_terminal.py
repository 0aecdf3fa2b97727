"""The terminal report: whole sentences in a pipe, wrapped at words on a terminal."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cognate.case.case import Case
from cognate.diagnosis import Diagnosis, diagnose
from cognate.discovery import Skill
from cognate.render import terminal
from cognate.render.json import render as as_json
from cognate.rules import Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, rule

NONE = Example()
TITLE = "predictions at position t change when the token at t+1 changes, by 0.83 in the logits before it"


def make(code, name, said, kind=Kind.CAUSE, severity=Severity.ERROR, **more):
    def judge(case):
        """The fault in one sentence.

        And why it hurts.
        """
        if isinstance(said, Exception):
            raise said
        yield said

    return rule(code=code, name=name, kind=kind, severity=severity, fires=NONE, quiet=NONE, **more)(judge)


FIX = Fix("Mask the attention", ("Use tril in forward", "Run it again"), ("cognate run train.py",), diff="-a = 1\n+a = 2\n")
LEAK = make(
    "LOSS101",
    "future-token-leak",
    Finding(TITLE, Proof.EXPERIMENT, (Evidence("max Δ", 0.8312345, "0", "probe causality"),), FIX, Location("m.py", 74)),
    explains={"loss-too-low"},
)
LOW = make("LOSS201", "loss-too-low", Finding("the loss is too low", Proof.MEASUREMENT), Kind.SYMPTOM)
FINE = make("GRAD101", "gradients-vanish", Clear("norm 0.4 to 1.9"), core=True)
BLIND = [make(f"EVAL{n}", f"blind-{n}", Clear("x"), needs={"metrics.val_loss"}) for n in range(101, 110)]
BROKEN = make("BAD101", "broken", ValueError("boom"))


def diagnosis(*rules) -> Diagnosis:
    case = Case.of(info={"kind": "run", "title": "train.py", "seconds": 2.0, "exit": {"code": 0}}, metrics=[{"step": 3}])
    return diagnose(case, [Skill("s", "d", "1", Path(), "folder", tuple(rules))])


class Tty(io.StringIO):
    def isatty(self):
        return True


def test_in_a_pipe_no_sentence_is_broken_and_nothing_is_coloured(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = terminal.render(diagnosis(LEAK, LOW, FINE), io.StringIO())
    assert f"1. ✗ {TITLE}\n" in text
    assert "\x1b" not in text


def test_on_a_terminal_lines_fit_and_no_word_is_broken(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.render(diagnosis(LEAK, LOW, FINE, *BLIND), Tty()))
    assert max(len(line) for line in text.splitlines()) <= 60
    assert TITLE in " ".join(text.split())


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_no_color_is_respected(monkeypatch, no_color, coloured):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", no_color)
    assert ("\x1b[1;31m" in terminal.render(diagnosis(LEAK), Tty())) is coloured


def test_order_answer_cause_symptoms_counts():
    text = terminal.render(diagnosis(LEAK, LOW, FINE, BROKEN, *BLIND), io.StringIO())
    parts = [
        "✗ UNHEALTHY  train.py: 1 root cause found",
        TITLE,
        "max Δ: 0.8312 (expected 0; probe causality)",
        "m.py:74",
        "Mask the attention",
        "$ cognate run train.py",
        "+a = 2",
        "cognate rule future-token-leak",
        "Also seen",
        "the loss is too low",
        "1 rule crashed",
        "BAD101 broken: ValueError: boom",
        "1 check passed",
        "9 checks not made",
        "no val loss was recorded",
        "and 6 more",
    ]
    assert [text.index(part) for part in parts] == sorted(text.index(part) for part in parts)


def test_unexplained_symptoms_are_called_so():
    text = terminal.render(diagnosis(LOW), io.StringIO())
    assert "Unexplained: no rule could say why" in text and "✗ the loss is too low" in text


def test_evidence_of_any_type_is_shown():
    odd = make(
        "ODD101",
        "odd",
        Finding("odd", Proof.SOURCE, (Evidence("a", [1, 2.5]), Evidence("b", None), Evidence("c", True))),
    )
    text = terminal.render(diagnosis(odd), io.StringIO())
    assert "a: 1, 2.5\n" in text and "b: none\n" in text and "c: yes\n" in text


def test_text_that_looks_like_markup_is_left_alone():
    odd = make("ODD101", "odd", Finding("tensor [red]x[/red] :smile: [/]", Proof.SOURCE))
    assert "1. ✗ tensor [red]x[/red] :smile: [/]\n" in terminal.render(diagnosis(odd), io.StringIO())


def test_json_is_the_diagnosis_itself():
    found = diagnosis(LEAK, LOW, FINE, BROKEN, *BLIND)
    assert json.loads(as_json(found)) == found.to_dict()
    assert as_json(found) == as_json(replace(found))


def test_reasons_are_few_unless_asked_for():
    many = [make(f"EVAL{n}", f"blind-{n}", Clear("x"), needs={f"events.kind{n}"}) for n in range(101, 109)]
    short, whole = (terminal.render(diagnosis(*many), io.StringIO(), verbose=flag) for flag in (False, True))
    assert "  3: for 3 other reasons, listed by --verbose\n" in short
    assert all(f"blind-{n}" in whole for n in range(101, 109)) and "--verbose" not in whole
