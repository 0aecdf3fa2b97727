"""A project of its own for each test: a small skill, settings that select it, cases, and the real command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cognate.case.store import Appender, write_json

SKILL = """---
name: team
description: Rules for the tests of the command line.
---
"""

RULES = '''
from cognate.rules import Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, rule


def loss(value, **info):
    return Example(info=info, metrics=[{"step": 1, "loss": value}])


@rule(code="ZZZ101", name="loss-too-high", severity=Severity.ERROR, kind=Kind.CAUSE, needs={"metrics.loss"},
      core=True, explains={"loss-odd"}, sources={"limit": "chosen for the tests"}, fires=loss(99.0), quiet=loss(0.5))
def too_high(case, *, limit=10.0):
    """The last loss is above the limit.

    A high loss is what these tests are made of.
    """
    last = case.metrics[-1]["loss"]
    if last <= limit:
        yield Clear(f"last loss {last:g}")
        return
    yield Finding(f"the loss ends at {last:g}", Proof.MEASUREMENT, (Evidence("last loss", last, f"<= {limit:g}", "metrics"),),
                  Fix("Lower the learning rate", ("Set lr to 1e-3",)), Location("train.py", 7, "main"))


@rule(code="ZZZ102", name="loss-odd", severity=Severity.WARNING, kind=Kind.SYMPTOM, needs={"metrics.loss"},
      fires=loss(3.0), quiet=loss(2.0))
def odd(case):
    """The last loss is an odd number.

    That is no fault, but it is visible.
    """
    last = case.metrics[-1]["loss"]
    yield Finding("the loss is odd", Proof.INFERENCE) if last % 2 == 1 else Clear(f"last loss {last:g}")


@rule(code="ZZZ103", name="boom", severity=Severity.ERROR, kind=Kind.CAUSE, fires=loss(1.0), quiet=loss(1.0))
def boom(case):
    """A rule that crashes where the title says so.

    It stands for every bug in a plug-in.
    """
    if case.info.get("title") == "boom":
        raise ValueError("this rule is broken")
    yield Clear("no boom")


@rule(code="ZZZ104", name="path-unknown", severity=Severity.ERROR, kind=Kind.CAUSE, needs={"environment"}, core=True,
      subjects={"run", "environment", "script"}, fires=loss(1.0), quiet=loss(1.0))
def path_unknown(case):
    """The path of the run is unknown.

    It needs an environment, which most cases of these tests lack.
    """
    yield Clear("the path is known")
'''

Cli = Callable[..., "subprocess.CompletedProcess[str]"]
MakeCase = Callable[..., Path]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    checks = tmp_path / "team" / "checks" / "zzz"
    checks.mkdir(parents=True)
    (tmp_path / "team" / "SKILL.md").write_text(SKILL)
    (checks / "all_of_them.py").write_text(RULES)
    (tmp_path / "cognate.toml").write_text('skills = ["team"]\nselect = ["ZZZ"]\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cli(project: Path) -> Cli:
    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1", **variables}
        return subprocess.run(
            [sys.executable, "-m", "cognate", *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )

    return run


@pytest.fixture
def make_case(project: Path) -> MakeCase:
    def make(name: str = "runs/first", loss: float = 0.5, **info: Any) -> Path:
        folder = project / name
        folder.mkdir(parents=True)
        facts = {"kind": "run", "title": "train.py", "started": "2026-01-02T03:04:05Z", "exit": {"code": 0}, **info}
        write_json(folder / "case.json", {"schema": "cognate.case/1", **facts})
        metrics = Appender(folder / "metrics.jsonl")
        metrics.write({"step": 1, "loss": 4.0}, {"step": 2, "loss": loss})
        metrics.close()
        return folder

    return make
