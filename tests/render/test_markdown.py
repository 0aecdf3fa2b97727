"""The status report: golden, the same bytes each time, and no mark without an outcome."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cognate.case.case import Case
from cognate.case.store import Appender, write_json
from cognate.diagnosis import diagnose
from cognate.discovery import Skill
from cognate.render.markdown import cell, prose, render
from cognate.rules import Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, rule

GOLDEN = Path(__file__).parents[2] / "reports" / "examples" / "status-report.md"
NONE = Example()
SECTIONS = [
    "What was accomplished",
    "Current issue",
    "Recommended path",
    "My recommendation",
    "What is working",
    "Bottom line",
]


@rule(code="AAA101", name="rate-too-high", severity=Severity.ERROR, kind=Kind.CAUSE, needs={"metrics.lr"}, fires=NONE,
      quiet=NONE, explains={"loss-diverges"})  # fmt: skip
def rate_too_high(case):
    """The learning rate is far above what the optimizer stands.

    Each step then overshoots. Usual place: a rate written for SGD and given to Adam.
    """
    rate = case.metrics[0]["lr"]
    if rate < 0.1:
        yield Clear(f"learning rate {rate:g}")
        return
    yield Finding(
        f"the learning rate {rate:g} is 100 times too high for Adam",
        Proof.MEASUREMENT,
        (Evidence("learning rate", rate, "<= 0.01", "metrics, step 1"),),
        Fix("Lower the learning rate to 0.01", ("Set lr=0.01 in train.py",), diff="-lr=1.0\n+lr=0.01\n"),
        Location("train.py", 12, "main"),
        onset_step=1,
    )


@rule(code="BBB101", name="loss-diverges", severity=Severity.ERROR, kind=Kind.SYMPTOM, needs={"metrics.loss"}, fires=NONE,
      quiet=NONE, core=True)  # fmt: skip
def loss_diverges(case):
    """The loss ends above where it began.

    Something pushes the weights away.
    """
    first, last = case.metrics[0]["loss"], case.metrics[-1]["loss"]
    if last > first:
        yield Finding(f"the loss rises from {first:g} to {last:g}", Proof.MEASUREMENT, onset_step=2)
    else:
        yield Clear(f"loss {first:g} → {last:g} | 2 steps")


@rule(code="CCC101", name="validation-constant", severity=Severity.ERROR, kind=Kind.CAUSE, needs={"metrics.val_loss"},
      fires=NONE, quiet=NONE)  # fmt: skip
def validation_constant(case):
    """The validation loss never changes.

    It is then no validation at all.
    """
    yield Clear("it changes")


def case_in(folder: Path, last: float = 9.0, lr: float = 1.0, **info) -> Path:
    folder.mkdir()
    facts = {
        "kind": "run",
        "title": "train.py",
        "command": ["python", "train.py", "--name", "a b"],
        "started": "2026-01-02T03:04:05Z",
        "seconds": 12.34,
        "exit": {"code": 0},
        "integrity": {"steps_seen": 2},
    }
    write_json(folder / "case.json", {**facts, **info})
    rows = Appender(folder / "metrics.jsonl")
    rows.write({"step": 1, "loss": 3.0, "lr": lr}, {"step": 2, "loss": last, "lr": lr})
    rows.close()
    return folder


def report(folder: Path, rules=(rate_too_high, loss_diverges, validation_constant)) -> str:
    return render(diagnose(Case.open(folder), [Skill("s", "d", "1", Path(), "folder", tuple(rules))]))


def test_golden(tmp_path):
    assert report(case_in(tmp_path / "one")) == GOLDEN.read_text(encoding="utf-8")


def test_same_case_same_bytes_wherever_it_lies(tmp_path):
    first, second = case_in(tmp_path / "one"), case_in(tmp_path / "two")
    assert report(first) == report(first) == report(second)


@pytest.mark.parametrize("case", [{"last": 9.0}, {"last": 1.0, "lr": 0.001}, {"last": 9.0, "lr": 0.001}])
def test_all_sections_whatever_the_status(tmp_path, case):
    text = report(case_in(tmp_path / "one", **case))
    assert re.findall(r"^## (.+)$", text, re.M) == SECTIONS
    assert "**Date**: 2026-01-02\n" in text
    assert text.rstrip().splitlines()[-1].startswith("**Next action**: ")


def test_every_mark_comes_from_an_outcome(tmp_path):
    healthy = report(case_in(tmp_path / "healthy", last=1.0, lr=0.001))
    assert "✗" not in healthy
    assert "✓ **HEALTHY**" in healthy
    assert r"| loss-diverges (BBB101) | ✓ passed | loss 3 → 1 \| 2 steps |" in healthy
    assert "| validation-constant (CCC101) | – not checked | no val loss was recorded |" in healthy
    nothing = report(case_in(tmp_path / "nothing"), rules=(validation_constant,))
    assert "✓" not in nothing and "✗" not in nothing
    assert "– **INCONCLUSIVE**" in nothing and "It cannot be said whether there is one" in nothing


def test_an_unexplained_symptom_is_no_root_cause(tmp_path):
    text = report(case_in(tmp_path / "one", last=9.0, lr=0.001))
    assert "### ✗ Unexplained: the loss rises from 3 to 9" in text
    assert "shows a symptom that no check could explain" in text
    assert "more evidence comes before any change" in text


def test_a_case_without_a_start_has_no_date(tmp_path):
    assert "**Date**: not recorded" in report(case_in(tmp_path / "one", started=None))


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a_b and __init__", r"a_b and \_\_init\_\_"),
        ("<script> *x* [y](z)", r"\<script> \*x\* \[y\](z)"),
        ("`a*b` c*d", r"`a*b` c\*d"),
        ("two\nlines", "two lines"),
        ("```<b>`` x", r"\`\`\`\<b>\`\` x"),
        (r"\`<b>`", r"\\`<b>`"),
        (r"C:\data\x", r"C:\data\x"),
        ("left `over", r"left \`over"),
    ],
)
def test_prose_is_never_markup(text, escaped):
    assert prose(text) == escaped


def test_cells_stay_cells():
    assert cell("a | b\nc") == r"a \| b c"
