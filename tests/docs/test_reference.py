"""What docs/ derives from the code is what the code says now, and the schemas accept what we write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema

from cognate import reference
from cognate.case.case import Case
from cognate.diagnosis import diagnose
from cognate.discovery import load_skills


def test_docs_have_not_drifted():
    done = subprocess.run([sys.executable, "-m", "cognate.reference", "--check"], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stdout + done.stderr


def test_drift_is_named(tmp_path):
    for file, text in reference.pages(tmp_path).items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert reference.drifted(tmp_path) == []
    (tmp_path / "rules.md").write_text("old")
    (tmp_path / "schema" / "case.schema.json").unlink()
    assert {file.name for file in reference.drifted(tmp_path)} == {"rules.md", "case.schema.json"}


def test_prose_around_the_tables_is_kept(tmp_path):
    page = reference.case_page("")
    written = page.replace("## Site\n", "## Site\n\nWords by hand.\n").replace("| `line` |", "| `gone` |")
    renewed = reference.case_page(written)
    assert "Words by hand." in renewed and "| `gone` |" not in renewed
    assert reference.case_page(renewed) == renewed


def test_coverage_names_a_rule_or_a_reason_for_every_core_cause():
    page = reference.COVERAGE.read_text(encoding="utf-8")
    rows = [line.strip("| ").split(" | ") for line in page.splitlines() if line.startswith("| ") and "-" in line.split(" | ")[0]]
    rules = {rule.name: rule for skill in load_skills() for rule in skill.rules}
    assert len(rows) == len({row[0] for row in rows}) == 124
    assert [row[0] for row in rows if len(row) != 3 or not row[2].strip()] == []
    assert {row[0]: row[1] != "–" for row in rows} == {row[0]: row[0] in rules for row in rows}


def test_a_reason_stands_until_there_is_a_rule():
    skills = load_skills()
    name = next(rule.name for rule in skills[0].rules)
    page = f"0 of 2 causes have a rule.\n| {name} | – | not yet |\n| no-such-rule | – | for this reason |\n"
    renewed = reference.coverage_page(page, skills).splitlines()
    assert renewed[0] == "1 of 2 causes have a rule." and "not yet" not in renewed[1]
    assert renewed[2] == "| no-such-rule | – | for this reason |"
    gone = reference.coverage_page("\n".join(renewed).replace(name, "gone-rule"), skills).splitlines()
    assert gone[1] == "| gone-rule | – |  |"  # for a reason to be given by hand


def test_every_rule_has_its_section():
    page = reference.rules_page(load_skills())
    for skill in load_skills():
        for rule in skill.rules:
            assert f"### {rule.code} {rule.name}\n" in page
            assert all(f"`{name}`" in page for name in rule.thresholds)


def test_diagnoses_of_every_example_fit_the_schema():
    schema = json.loads(reference.diagnosis_schema())
    validator = jsonschema.Draft202012Validator(schema)
    skills = load_skills()
    for skill in skills:
        for rule in skill.rules:
            for example in (rule.fires, rule.quiet):
                document = json.loads(diagnose(example.case, skills).to_json())
                errors = [error.message for error in validator.iter_errors(document)]
                assert not errors, f"{rule.name}: {errors}"


def test_case_schema_accepts_a_case_and_refuses_a_wrong_one():
    validator = jsonschema.Draft202012Validator(json.loads(reference.case_schema()))
    good = {"case.json": {"kind": "run", "more": 1}, "metrics.jsonl": [{"step": 1, "loss": None}], "model.json": {}}
    assert validator.is_valid(good)
    assert not validator.is_valid({**good, "metrics.jsonl": [{"step": "one"}]})
    assert not validator.is_valid({**good, "case.json": {"kind": "walk"}})


def test_the_schemas_file_list_is_the_readers(tmp_path):
    names = {name for name, _, _ in reference.CASE_FILES}
    folder = Path(tmp_path)
    for name in names:
        (folder / name).write_text("{}\n")
    case = Case.open(folder)
    assert [case.metrics, case.layers, case.all_events, case.probes] == [[{}]] * 4
