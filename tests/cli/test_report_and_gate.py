"""`cognate report` and `cognate gate`."""

from __future__ import annotations

import json


def test_report_default_place_and_same_bytes(cli, make_case, project):
    case = make_case(loss=99.0)
    first = cli("report", str(case))
    assert first.returncode == 0
    assert first.stdout == "reports/first.md: unhealthy, 1 root cause found\n"
    text = (project / "reports/first.md").read_bytes()
    (project / "reports/first.md").unlink()
    cli("report", "runs/first", "-o", "other.md")
    assert (project / "other.md").read_bytes() == text


def test_report_of_several(cli, make_case, project):
    make_case("runs/a"), make_case("runs/b", loss=99.0)
    assert cli("report", "runs/a", "runs/b").returncode == 0
    assert sorted(path.name for path in (project / "reports").iterdir()) == ["a.md", "b.md"]


def test_gate_takes_the_newest_case(cli, make_case):
    make_case("runs/old", loss=99.0, started="2026-01-01T00:00:00Z")
    make_case("runs/new", started="2026-02-01T00:00:00Z", title="new.py")
    done = cli("gate")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("PASS: new.py")


def test_gate_fails_and_names_the_finding(cli, make_case):
    done = cli("gate", str(make_case(loss=99.0)))
    assert done.returncode == 1
    assert "error ZZZ101 loss-too-high: the loss ends at 99" in done.stdout


def test_gate_levels(cli, make_case):
    case = str(make_case(loss=3.0))
    assert cli("gate", case).returncode == 0
    assert cli("gate", case, "--fail-on", "warning").returncode == 1
    assert cli("gate", case, "--fail-on", "never").returncode == 0


def test_gate_cannot_judge_what_was_not_seen(cli, make_case, project):
    (project / "cognate.toml").write_text('skills = ["team"]\nselect = ["path-unknown"]\n')
    done = cli("gate", str(make_case()))
    assert done.returncode == 2
    assert done.stdout.startswith("CANNOT JUDGE")


def test_gate_on_a_crashed_rule(cli, make_case):
    assert cli("gate", str(make_case(title="boom"))).returncode == 3


def test_gate_baseline_accepts_the_known_and_only_that(cli, make_case, project):
    case = str(make_case(loss=99.0))
    done = cli("gate", case, "--write-baseline", "--reason", "known since May")
    assert done.returncode == 0 and "1 finding accepted" in done.stdout
    assert json.loads((project / "cognate-baseline.json").read_text())["known"] == [
        {"rule": "ZZZ101", "file": "train.py", "symbol": "main", "reason": "known since May"}
    ]
    done = cli("gate", case, "--baseline", "cognate-baseline.json", "--fail-on", "warning")
    assert done.returncode == 0 and "known since May" in done.stdout
    assert (
        cli(
            "gate", str(make_case("runs/odd", loss=3.0)), "--baseline", "cognate-baseline.json", "--fail-on", "warning"
        ).returncode
        == 1
    )


def test_gate_json(cli, make_case):
    verdict = json.loads(cli("gate", str(make_case(loss=99.0)), "--format", "json").stdout)
    assert (verdict["verdict"], verdict["exit_code"]) == ("fail", 1)
    assert verdict["failing"][0]["name"] == "loss-too-high"
