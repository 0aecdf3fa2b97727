"""`cognate doctor` on cases and scripts: the answer first, the exit code by the policy."""

from __future__ import annotations

import json


def test_a_faulty_case_leads_with_the_answer(cli, make_case):
    done = cli("doctor", str(make_case(loss=99.0)))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "✗ UNHEALTHY  train.py: 1 root cause found"
    assert "1. ✗ the loss ends at 99" in lines
    assert "     last loss: 99 (expected <= 10; metrics)" in lines
    assert "   where    train.py:7, in main" in lines
    assert "            1. Set lr to 1e-3" in lines
    assert "   more     cognate rule loss-too-high" in lines
    assert "  ! the loss is odd (ZZZ102 loss-odd, explained by loss-too-high)" in lines
    assert any(line.startswith("  1: the environment was not examined") for line in lines)


def test_a_warning_does_not_fail_and_a_setting_changes_that(cli, make_case, project):
    case = make_case(loss=3.0)
    assert cli("doctor", str(case)).returncode == 0
    (project / "cognate.toml").write_text('skills = ["team"]\nselect = ["ZZZ"]\n[gate]\nfail-on = "warning"\n')
    assert cli("doctor", str(case)).returncode == 1


def test_too_little_evidence_is_said_and_is_no_failure(cli, make_case, project):
    (project / "cognate.toml").write_text('skills = ["team"]\nselect = ["path-unknown"]\n')
    done = cli("doctor", str(make_case()))
    assert done.returncode == 0
    assert done.stdout.startswith("– INCONCLUSIVE")


def test_a_crashed_rule_is_shown(cli, make_case):
    done = cli("doctor", str(make_case(title="boom")))
    assert done.returncode == 3
    assert "ZZZ103 boom: ValueError: this rule is broken" in done.stdout


def test_json_goes_to_stdout_whole(cli, make_case):
    case = make_case(loss=99.0)
    done = cli("doctor", "--format", "json", str(case))
    document = json.loads(done.stdout)
    assert document["schema"] == "cognate.diagnosis/1"
    assert document["subject"]["path"] == str(case)
    assert [cause["name"] for cause in document["root_causes"]] == ["loss-too-high"]
    assert done.stderr == ""


def test_output_file_and_quiet(cli, make_case, project):
    case = make_case(loss=99.0)
    done = cli("doctor", str(case), "--format", "markdown", "-o", "deep/down/report.md")
    assert done.returncode == 1 and done.stdout == ""
    assert (project / "deep/down/report.md").read_text(encoding="utf-8").startswith("# train.py: status and next steps")
    quiet = cli("doctor", str(case), "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (1, "", "")


def test_verbose_lists_what_passed(cli, make_case):
    assert "ZZZ101 loss-too-high: last loss 0.5" in cli("doctor", str(make_case()), "--verbose").stdout


def test_a_threshold_can_be_overridden_and_a_rule_ignored_with_a_reason(cli, make_case, project):
    case = make_case(loss=99.0)
    (project / "cognate.toml").write_text(
        'skills = ["team"]\nselect = ["ZZZ"]\n[rules.loss-too-high]\nlimit = 100.0\n[ignore]\nloss-odd = "we like odd"\n'
    )
    done = cli("doctor", str(case))
    assert done.returncode == 0
    assert "ignored: we like odd" in done.stdout


def test_a_script_is_examined_without_being_run(cli, project):
    (project / "train.py").write_text("open('was_run', 'w')\n")
    done = cli("doctor", "train.py", "--case", "kept", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert not (project / "was_run").exists()
    assert (project / "kept" / "case.json").is_file()
    assert "path-unknown" in {item["name"] for item in json.loads(done.stdout)["passed"]}
    assert cli("doctor", "train.py", "--case", "kept").returncode == 2


def test_without_a_target_the_interpreter_is_examined_and_nothing_is_left(cli, project):
    before = sorted(project.rglob("*"))
    done = cli("doctor")
    assert done.returncode in (0, 1), done.stderr
    assert sorted(path for path in project.rglob("*") if "__pycache__" not in path.parts) == before


def test_a_foreign_log_is_read_and_judged(cli, project):
    log = [{"step": step, "loss": 99.0, "learning_rate": 0.1, "epoch": step / 10} for step in range(1, 9)]
    (project / "out").mkdir()
    (project / "out" / "trainer_state.json").write_text(json.dumps({"log_history": log, "global_step": 8}))
    for target in ("out", "out/trainer_state.json"):
        done = cli("doctor", target)
        assert done.returncode == 1, done.stderr
        assert "1. ✗ the loss ends at 99" in done.stdout
