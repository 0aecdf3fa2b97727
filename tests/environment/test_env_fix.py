"""Fixes: simulated without a change, made and taken back; the report for a bug tracker keeps secrets to itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cognate.cli.doctor_bundle import write_bundle
from cognate.cli.doctor_fix import repair, take_back
from cognate.diagnosis import diagnose
from cognate.discovery import load_skills
from cognate.errors import UsageError
from cognate.observe.environment.syspath import Command
from cognate.observe.environment.words import Request
from cognate.rules.runner import Selection


@pytest.fixture
def shadowed(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("XDG_STATE_HOME", str(lab.root / "state"))
    monkeypatch.chdir(lab.work)
    lab.install("datasets", "4.0.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    lab.write("train.py", "from datasets import load_dataset")
    lab.write("datasets.py", "class Rows: ...")
    return lab


def request(lab: Any, **environ: str) -> Request:
    return Request(Command(lab.work, Path("train.py")), lab.python, "the laboratory", environ)


def test_a_fix_is_rechecked_without_being_made(shadowed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = shadowed.contents()
    assert repair(shadowed.examine(), request(shadowed), None, apply=False) == 0
    told = capsys.readouterr().out
    assert "$ mv datasets.py local_datasets.py" in told and "env-shadowed-module would be gone" in told
    assert shadowed.contents() == before


def test_a_fix_is_made_and_taken_back(shadowed: Any, capsys: pytest.CaptureFixture[str]) -> None:
    before = shadowed.contents()
    assert repair(shadowed.examine(), request(shadowed), None, apply=True) == 0
    assert (shadowed.work / "local_datasets.py").exists() and not (shadowed.work / "datasets.py").exists()
    assert take_back() == 0
    assert shadowed.contents() == before
    with pytest.raises(UsageError, match="nothing to take back"):
        take_back()


def test_a_variable_is_for_the_users_own_shell(
    lab: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(lab.root / "state"))
    lab.environ["PYTHONOPTIMIZE"] = "1"
    lab.environ["PYTHONHASHSEED"] = "abc"
    lab.write("train.py", "import json")
    assert repair(lab.examine(), request(lab, **lab.environ), None, apply=True) == 0
    assert "in your own shell" in capsys.readouterr().out


def test_the_report_for_a_bug_tracker(shadowed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(shadowed.root))
    shadowed.environ |= {"HF_TOKEN": "hf_abcdefghijklmnop", "HF_ENDPOINT": "https://me:secret@hub.example"}
    case = shadowed.examine()
    file = shadowed.root / "report.md"
    write_bundle(file, case, diagnose(case, load_skills(), Selection(select=("ENV",))))
    text = file.read_text(encoding="utf-8")
    assert "hf_abcdefghijklmnop" not in text and "secret@" not in text and str(shadowed.root) not in text
    assert "datasets 4.0.0" in text and "~/project/datasets.py" in text and "### sys.path" in text
