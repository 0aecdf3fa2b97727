"""Bad input: one clear sentence on stderr, exit 2, never a traceback."""

from __future__ import annotations

import pytest


def spoil(project):
    (project / "empty.json").write_bytes(b"")
    (project / "junk.bin").write_bytes(bytes(range(256)) * 8)
    (project / "junk.py").write_bytes(b"\x00\x01\x02" * 100)
    (project / "empty.py").write_bytes(b"")
    (project / "good.py").write_text("print(1)\n")
    (project / "folder").mkdir()
    (project / "folder" / "note.txt").write_text("nothing to see")
    (project / "list").mkdir()
    (project / "list" / "case.json").write_text("[1, 2]")
    (project / "torn").mkdir()
    (project / "torn" / "case.json").write_text('{"schema": ')


@pytest.mark.parametrize(
    "arguments",
    [
        ["doctor", "nosuch.py"],
        ["doctor", "nosuch"],
        ["doctor", "empty.py"],
        ["doctor", "empty.json"],
        ["doctor", "junk.bin"],
        ["doctor", "junk.py"],
        ["doctor", "folder"],
        ["doctor", "list"],
        ["doctor", "torn"],
        ["doctor", "good.py", "--python", "/no/such/python"],
        ["run"],
        ["run", "--python", "/no/such/python", "good.py"],
        ["run", "nosuch.py"],
        ["run", "folder"],
        ["run", "empty.py"],
        ["run", "junk.py"],
        ["report", "nosuch"],
        ["report", "folder"],
        ["report", "torn"],
        ["report", "list", "torn", "-o", "one.md"],
        ["gate"],
        ["gate", "folder"],
        ["gate", "list"],
        ["rule", "nosuch"],
        ["skills", "show", "nosuch"],
        ["skills", "check", "folder"],
        ["skills", "new", "Not A Name"],
        ["skills", "new", "folder"],
    ],
    ids=" ".join,
)
def test_one_sentence_and_exit_2(cli, project, arguments):
    spoil(project)
    done = cli(*arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("cognate: ") and done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr and len(done.stderr) > 30
    assert not list(project.glob("runs/*"))


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("select = 3", ["cognate.toml", "select", "3", "list"]),
        ("ignore = [1]", ["ignore", "[1]"]),
        ("selct = []", ["selct", "did you mean select"]),
        ('[gate]\nfail-on = "sometimes"', ["gate.fail-on", "sometimes", "never"]),
        ('[gate]\nfail_on = "error"', ["gate.fail_on", "did you mean fail-on"]),
        ("[rules]\nloss-too-high = 3", ["rules.loss-too-high"]),
        ("skills = [", ["cognate.toml", "TOML"]),
        ('skills = ["nowhere"]', ["nowhere", "SKILL.md"]),
        ('skills = ["team"]\nselect = ["loss-to-high"]', ["loss-to-high", "did you mean loss-too-high"]),
        ('skills = ["team"]\n[rules.loss-too-high]\nlimits = 3', ["limits", "limit"]),
        ('skills = ["team"]\n[rules.nosuch]\nlimit = 3', ["nosuch", "no rule"]),
        ('[gate]\nbaseline = "nowhere.json"', ["nowhere.json", "--write-baseline"]),
    ],
)
def test_invalid_settings_name_the_file_and_the_key(cli, make_case, project, settings, words):
    case = make_case()
    (project / "cognate.toml").write_text(settings)
    done = cli("gate", str(case))
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stderr.startswith("cognate: ") and done.stderr.count("\n") == 1
    assert all(word in done.stderr for word in words), done.stderr


def test_near_names_are_offered(cli, project):
    (project / "train.py").write_text("print()\n")
    assert "did you mean train.py?" in cli("doctor", "trian.py").stderr
    assert "did you mean loss-too-high" in cli("rule", "loss-to-high").stderr
    assert "did you mean team?" in cli("skills", "show", "teem").stderr
