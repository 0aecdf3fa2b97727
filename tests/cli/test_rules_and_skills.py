"""`cognate rule`, `cognate rules`, `cognate skills`."""

from __future__ import annotations

import json


def test_rule_is_a_manual(cli):
    by_name, by_code = cli("rule", "loss-too-high"), cli("rule", "zzz101")
    assert by_name.returncode == 0
    assert by_name.stdout == by_code.stdout
    for words in (
        "The last loss is above the limit.",
        "A high loss is what these tests are made of.",
        "metrics.loss",
        "limit = 10.0   chosen for the tests",
        "and says: the loss ends at 99",
        "and says: clear, last loss 0.5",
        "[tool.cognate.ignore]",
    ):
        assert words in by_name.stdout


def test_rules_one_line_a_rule_in_a_pipe(cli):
    lines = cli("rules").stdout.splitlines()
    assert any(line.split()[:4] == ["ZZZ101", "loss-too-high", "cause", "error"] for line in lines)
    assert any(line.rstrip().endswith("The last loss is above the limit.") for line in lines)
    assert cli("rule").stdout.splitlines() == lines


def test_rules_json(cli):
    rules = {rule["code"]: rule for rule in json.loads(cli("rules", "--format", "json").stdout)}
    assert rules["ZZZ101"]["thresholds"] == {"limit": {"default": 10.0, "source": "chosen for the tests"}}


def test_skills_list_and_show(cli):
    assert "team  0  4 rules  folder" in cli("skills", "list").stdout
    assert "ZZZ102  loss-odd" in cli("skills", "show", "team").stdout


def test_skills_check_names_the_broken_promises(cli):
    done = cli("skills", "check", "team")
    assert done.returncode == 1
    assert "ZZZ103 boom: its fires example is clear, not fired" in done.stdout
    assert "ZZZ104 path-unknown: its quiet example is skipped, not clear" in done.stdout
    assert "loss-too-high" not in done.stdout


def test_a_new_skill_works_at_once(cli, project, make_case):
    done = cli("skills", "new", "our-own-checks", "--in", "tools")
    assert done.returncode == 0 and "our-own-checks-final-loss-high" in done.stdout
    assert cli("skills", "check", "tools/our-own-checks").returncode == 0
    (project / "cognate.toml").write_text('skills = ["tools/our-own-checks"]\nselect = ["OUROWNCHECKS"]\n')
    assert "the loss ends at 99, above 10" in cli("doctor", str(make_case(loss=99.0))).stdout
    assert cli("rule", "OUROWNCHECKS101").returncode == 0


def test_results_go_into_a_file_on_request(cli, project, make_case):
    make_case()
    assert cli("gate", "-o", "verdict.txt").stdout == ""
    assert (project / "verdict.txt").read_text().startswith("PASS: train.py")
    for arguments in (["rule", "loss-odd"], ["rules"], ["rules", "--format", "json"]):
        assert cli(*arguments, "-o", "list.txt").stdout == ""
        assert (project / "list.txt").read_text(encoding="utf-8") == cli(*arguments).stdout
