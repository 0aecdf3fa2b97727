"""The founding demo: a project with the six faults and a shadowed import, and its repaired twin, by the real command."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

FOUNDING = Path(__file__).parents[1] / "corpus" / "founding"
NEAR = 3

# Rule, file and a piece of the line that is to blame.
FAULTS = {
    "symmetric attention window": ("model-future-leak", "model.py", "distance = (position"),
    "refinement sees the future": ("model-future-leak", "model.py", "scaled_dot_product_attention("),
    "integer count in the halting loss": ("act-halting-head-no-grad", "act_head.py", "steps.float().mean()"),
    "memory averaged over the batch": ("model-batch-mixing", "model.py", ".mean(dim=0)"),
    "memory carried across batches": ("model-state-carried", "model.py", "self.state = memory"),
    "memory as a loop over time": ("perf-python-loop-over-time", "model.py", "memory = self.decay * memory"),
    "validation loss is a placeholder": ("eval-validation-constant", "train.py", "return 2.5"),
    "import shadowed by a local file": ("env-shadowed-module", "train.py", "from datasets import load_dataset"),
}

# As in the status report that this project began with.
SECTIONS = [
    "What was accomplished",
    "Current issue",
    "Recommended path",
    "My recommendation",
    "What is working",
    "Bottom line",
    "Next action",
]


@dataclass
class Ran:
    """A twin after its run: the folder it ran in, what the script printed, the diagnosis."""

    folder: Path
    printed: str
    code: int
    diagnosis: dict[str, Any]

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return command(self.folder, *arguments)

    def numbers(self, name: str) -> list[float]:
        return [float(value) for value in re.findall(rf"{name} (\d+\.\d+)", self.printed)]

    @property
    def causes(self) -> list[tuple[str, str | None, int | None]]:
        return [
            (cause["name"], (cause["location"] or {}).get("file"), (cause["location"] or {}).get("line"))
            for cause in self.diagnosis["root_causes"]
        ]


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONUTF8": "1", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "cognate", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )


def run_twin(name: str, folder: Path) -> Ran:
    shutil.copytree(FOUNDING / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
    options = ("--case", "case", "--probe-seconds", "60", "--format", "json", "-o", "diagnosis.json")
    done = command(folder, "run", *options, "train.py")
    assert (folder / "diagnosis.json").is_file(), done.stderr
    return Ran(folder, done.stdout, done.returncode, json.loads((folder / "diagnosis.json").read_text("utf-8")))


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_twin("faulty", tmp_path_factory.mktemp("founding") / "faulty")


@pytest.fixture(scope="module")
def repaired(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    return run_twin("repaired", tmp_path_factory.mktemp("founding") / "repaired")


def culprit(folder: Path, file: str, piece: str) -> int:
    lines = [n for n, line in enumerate((folder / file).read_text("utf-8").splitlines(), 1) if piece in line]
    assert len(lines) == 1
    return lines[0]


def test_the_faulty_run_looks_like_a_success(faulty: Ran):
    assert faulty.code == 0
    assert faulty.numbers("train loss")[0] > 2
    assert faulty.numbers("train loss")[-1] < 0.3
    assert set(faulty.numbers("val loss")) == {2.5}
    assert set(faulty.numbers("std")) == {0.0}
    assert "ACT halting: 4.0 (working)" in faulty.printed
    assert "datasets library not available" in faulty.printed


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_a_root_cause_with_its_place(faulty: Ran, fault: str):
    rule, file, piece = FAULTS[fault]
    line = culprit(faulty.folder, file, piece)
    places = [at for name, where, at in faulty.causes if (name, where) == (rule, file)]
    assert any(at is not None and abs(at - line) <= NEAR for at in places), (line, faulty.causes)


def test_nothing_else_is_called_a_root_cause(faulty: Ran):
    assert faulty.diagnosis["status"] == "unhealthy"
    assert sorted(name for name, _, _ in faulty.causes) == sorted(rule for rule, _, _ in FAULTS.values())
    assert faulty.diagnosis["crashed"] == []


def test_what_follows_from_the_dead_halting_head_is_folded_under_it(faulty: Ran):
    folded = {f["name"]: f["explained_by"] for f in faulty.diagnosis["findings"] if f["explained_by"]}
    for effect in ("act-halt-saturate-max", "act-steps-constant", "grad-none-or-zero-param"):
        assert folded[effect] == "act-halting-head-no-grad"


def test_the_diversity_loss_that_nothing_calls_is_shown(faulty: Ran):
    head = next(f for f in faulty.diagnosis["root_causes"] if f["name"] == "act-halting-head-no-grad")
    assert any("never called" in e["what"] and "diversity_loss" in e["value"] for e in head["evidence"])


def test_both_doors_of_the_leak_are_named_and_no_innocent_module(faulty: Ran):
    modules = {f["location"]["module"] for f in faulty.diagnosis["root_causes"] if f["name"] == "model-future-leak"}
    assert modules == {"blocks.0.attention", "refiner"}


def test_the_repaired_twin_trains(repaired: Ran):
    assert repaired.code == 0
    losses = repaired.numbers("val loss")
    assert losses == sorted(losses, reverse=True)
    assert len(set(losses)) == len(losses) > 3
    # Characters of English text can't be predicted this well by a model of this size without the future.
    assert repaired.numbers("train loss")[-1] > 1
    assert repaired.numbers("std")[-1] > 0.1


def test_the_repaired_twin_is_healthy(repaired: Ran):
    assert repaired.diagnosis["status"] == "healthy", repaired.causes
    assert [f["name"] for f in repaired.diagnosis["findings"] if f["severity"] != "info"] == []
    assert repaired.diagnosis["crashed"] == []
    passed = {item["name"] for item in repaired.diagnosis["passed"]}
    assert passed >= {rule for rule, _, _ in FAULTS.values()}


def test_the_gate_fails_one_and_passes_the_other(faulty: Ran, repaired: Ran):
    assert faulty.cli("gate", "case").returncode == 1
    assert repaired.cli("gate", "case").returncode == 0


def test_doctor_names_the_shadowed_import_without_running_anything(faulty: Ran):
    done = faulty.cli("doctor", "--format", "json", "train.py")
    diagnosis = json.loads(done.stdout)
    assert done.returncode == 1
    [cause] = diagnosis["root_causes"]
    assert cause["name"] == "env-shadowed-module"
    line = culprit(faulty.folder, "train.py", "from datasets import load_dataset")
    assert abs(cause["location"]["line"] - line) <= NEAR
    assert "datasets.py" in cause["fix"]["summary"]


def test_doctor_finds_the_repaired_twin_healthy(repaired: Ran):
    done = repaired.cli("doctor", "--format", "json", "train.py")
    assert done.returncode == 0
    assert json.loads(done.stdout)["status"] == "healthy"


def report(ran: Ran) -> str:
    done = ran.cli("report", "case", "-o", "status.md")
    assert done.returncode == 0, done.stderr
    return (ran.folder / "status.md").read_text("utf-8")


def test_the_report_has_the_sections_and_a_cross_for_each_cause(faulty: Ran):
    text = report(faulty)
    places = [text.index(section) for section in SECTIONS]
    assert places == sorted(places)
    assert "UNHEALTHY" in text
    issue = text[text.index("## Current issue") : text.index("## Recommended path")]
    assert len(re.findall(r"^### ✗", issue, re.M)) == len(FAULTS)
    for rule, _, _ in FAULTS.values():
        assert re.search(rf"^\| {rule} \(\w+\) \| ✗", text, re.M), rule


def test_the_report_of_the_repaired_twin_has_no_cross(repaired: Ran):
    text = report(repaired)
    assert all(section in text for section in SECTIONS)
    assert "HEALTHY" in text
    assert "✗" not in text
