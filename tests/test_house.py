"""The rules of the house: what every rule, skill and file keeps."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cognate.discovery import all_rules, load_skills
from cognate.rules import Kind
from cognate.rules.testing import example_problems

ROOT = Path(__file__).parent.parent
SKILLS = load_skills()
RULES = all_rules(SKILLS)
LONGEST_FILE = 350
LONGEST_TEST = 500  # a table of behaviours is read from the top, not held in the head

# Names from the fault catalogue that rules already point at and whose own rules are still to be written.
PLANNED = {
    "eval-early-stop-premature",
    "opt-weights-not-moving",
    "train-eval-gap",
}

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)


def file_of(rule) -> Path:
    return Path(rule.function.__code__.co_filename)


def test_codes_and_names_are_unique():
    for words in ([rule.code for rule in RULES], [rule.name for rule in RULES]):
        assert len(words) == len(set(words))


@every_rule
def test_a_rule_lies_where_its_name_says(rule):
    file = file_of(rule)
    assert file.stem == rule.name.replace("-", "_")
    assert file.parent.name == rule.family.lower()
    assert file.parent.parent.name == "checks"


@every_rule
def test_a_rule_says_what_and_why(rule):
    assert re.search(r"[.!?`]$", rule.summary), "the first line is one whole sentence"
    assert len(re.findall(r"[.!?](?:\s|$)", f"{rule.summary}\n{rule.explanation}")) >= 2


@every_rule
def test_a_rule_fires_on_its_faulty_example_and_is_clear_on_the_healthy_one(rule):
    assert example_problems(rule) == []


@every_rule
def test_thresholds_cite_where_they_come_from(rule):
    assert all(len(threshold.source) >= 10 for threshold in rule.thresholds.values())


@every_rule
def test_a_rule_explains_only_findings_that_exist(rule):
    assert rule.explains <= ({other.name for other in RULES} | PLANNED) - {rule.name}


def test_no_name_is_planned_that_exists_or_that_nothing_points_at():
    assert not PLANNED & {rule.name for rule in RULES}
    assert {name for rule in RULES for name in rule.explains} >= PLANNED


@every_rule
def test_symptoms_explain_nothing(rule):
    assert rule.kind is Kind.CAUSE or not rule.explains


@pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
def test_skills_load_whole(skill):
    assert skill.broken == ()


if sys.version_info >= (3, 11):  # the reference validator needs it

    @pytest.mark.parametrize("skill", SKILLS, ids=lambda skill: skill.name)
    def test_skills_are_valid_by_the_reference_validator(skill):
        from skills_ref.validator import validate

        assert validate(skill.path) == []


def test_files_stay_short():
    files = [file for folder in ("cognate", "skills", "tests") for file in (ROOT / folder).rglob("*.py")]
    lengths = {file.relative_to(ROOT).as_posix(): len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    limits = {name: LONGEST_TEST if name.startswith("tests/") else LONGEST_FILE for name in lengths}
    assert {name: length for name, length in lengths.items() if length > limits[name]} == {}


def test_layers_hold():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout[-3000:]
