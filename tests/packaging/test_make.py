"""The commands that the README promises exist, and CI runs the same ones."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def planned(target: str) -> str:
    done = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return done.stdout


TARGETS = ["setup", "demo", "test", "check", "bench", "bench-fast", "bench-cost", "bench-learn", "corpus-verify", "docs", "help"]


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_exists(target):
    planned(target)
    assert re.search(rf"^\.PHONY:.*\b{target}\b", MAKEFILE, re.MULTILINE)


def test_check_runs_every_tool():
    plan = planned("check")
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports", "cognate.reference --check", "pytest"):
        assert tool in plan


def test_test_is_check_and_the_fast_bench_after_setup():
    assert re.search(r"^test: setup check bench-fast$", MAKEFILE, re.MULTILINE)


def test_ci_runs_make_test():
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "#!/usr/bin/env bash" and "set -euo pipefail" in lines and lines[-1] == "make test"
    assert script.stat().st_mode & 0o111


def test_every_dependency_of_setup_is_pinned():
    pins = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line[0] != "#"]
    assert all(re.match(r'[a-z0-9-]+==[^;\s]+(; python_version (<|>=) "3\.11")?$', line) for line in pins)
    names = {line.partition("==")[0] for line in pins}
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    wanted = re.findall(r'^  "([A-Za-z0-9-]+)[><=]', project, re.MULTILINE)
    assert len(wanted) > 10 and {name.lower() for name in wanted} <= names
