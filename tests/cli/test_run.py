"""`cognate run`: the script's own arguments, stdout and exit code; the diagnosis on stderr."""

from __future__ import annotations

import json
import signal
import sys

import pytest

from cognate.cli.run import end_options, new_case

VALUED = {"-m", "--module", "--case", "-o"}


@pytest.mark.parametrize(
    ("given", "parsed"),
    [
        ("train.py --help -m x", "train.py --help -m x"),
        ("-m pkg.train --lr 3", "-m pkg.train -- --lr 3"),
        ("--case d -m pkg.train -o x", "--case d -m pkg.train -- -o x"),
        ("-mpkg --lr 3", "-mpkg -- --lr 3"),
        ("--module=pkg -x", "--module=pkg -- -x"),
        ("--case -m train.py -m y", "--case -m train.py -m y"),
        ("-- -m x", "-- -m x"),
        ("--quiet", "--quiet"),
    ],
)
def test_what_follows_the_module_is_its_own(given, parsed):
    assert end_options(given.split(), VALUED) == parsed.split()


def test_new_cases_never_share_a_folder(tmp_path):
    folders = {new_case("pkg.train/x", tmp_path) for _ in range(5)}
    assert len(folders) == 5
    assert all(folder.parent == tmp_path and folder.name.startswith("pkg.train-x-") for folder in folders)


def test_arguments_stdout_and_exit_code_are_the_scripts(cli, project):
    (project / "train.py").write_text("import sys\nprint(sys.argv[1:])\nsys.exit(7)\n")
    done = cli("run", "--case", "kept", "train.py", "--case", "x", "--help", "-q")
    assert done.returncode == 7
    assert done.stdout == "['--case', 'x', '--help', '-q']\n"
    assert "train.py" in done.stderr and (project / "kept" / "case.json").is_file()


def test_a_module_with_options_of_its_own(cli, project):
    (project / "pkg").mkdir()
    (project / "pkg" / "train.py").write_text("import sys\nprint(__name__, sys.argv[1:])\n")
    done = cli("run", "--quiet", "-m", "pkg.train", "--quiet", "-m", "y")
    assert (done.returncode, done.stdout, done.stderr) == (0, "__main__ ['--quiet', '-m', 'y']\n", "")
    assert [path.name.startswith("pkg.train-") for path in (project / "runs").iterdir()] == [True]


def test_json_into_a_file(cli, project):
    (project / "train.py").write_text("print('hello')\n")
    done = cli("run", "--format", "json", "-o", "out.json", "train.py")
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert json.loads((project / "out.json").read_text())["subject"]["kind"] == "run"


def test_the_environment_is_examined_beside_the_run(cli, project):
    (project / "train.py").write_text("print('hello')\n")
    done = cli("run", "--verbose", "--case", "kept", "train.py")
    assert (project / "kept" / "environment.json").is_file()
    assert "ZZZ104 path-unknown: the path is known" in done.stderr


def test_a_traceback_is_the_scripts_own(cli, project):
    (project / "train.py").write_text("def f():\n    raise KeyError('lost')\nf()\n")
    done = cli("run", "train.py")
    assert done.returncode == 1
    assert "KeyError: 'lost'" in done.stderr and "INCONCLUSIVE" in done.stderr


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
def test_death_by_signal_is_passed_on(cli, project, name):
    (project / "train.py").write_text(f"import os, signal\nos.kill(os.getpid(), signal.{name})\n")
    done = cli("run", "train.py")
    assert done.returncode in (-getattr(signal, name), 128 + getattr(signal, name))
    assert "train.py" in done.stderr


def test_a_failing_diagnosis_keeps_the_exit_code(cli, project):
    (project / "train.py").write_text("open('cognate.toml', 'w').write('select = 3')\n")
    done = cli("run", "train.py")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("cognate: no diagnosis: ")


def test_gate_replaces_the_exit_code(cli, project):
    (project / "train.py").write_text("import sys\nsys.exit(7)\n")
    (project / "cognate.toml").write_text('skills = ["team"]\nselect = ["ZZZ101"]\n')
    done = cli("run", "--gate", "train.py")
    assert done.returncode == 2
    assert "CANNOT JUDGE" in done.stderr


def test_another_interpreter_can_be_named(cli, project):
    (project / "train.py").write_text("import sys\nprint(sys.executable)\n")
    assert cli("run", "-q", "--python", sys.executable, "train.py").stdout == f"{sys.executable}\n"


def test_a_case_is_never_overwritten(cli, project, make_case):
    make_case("kept")
    (project / "train.py").write_text("print('ran')\n")
    done = cli("run", "--case", "kept", "train.py")
    assert done.returncode == 2 and done.stdout == ""
