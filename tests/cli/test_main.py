"""The command as a whole: help, errors in one line, and how little it imports."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "numpy", "jinja2", "cognate.observe.live.launch"}


def imported_by(*arguments: str) -> set[str]:
    code = (
        "import sys, atexit; sys.argv = ['cognate', *sys.argv[1:]]\n"
        "atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n"
        "from cognate.cli.main import run; run()"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], []])
def test_help_imports_nothing_heavy(arguments):
    assert not imported_by(*arguments) & {*HEAVY, "rich"}


def test_help_imports_no_pydantic():
    # Only asked of --help: some versions of typer import pydantic themselves to parse a verb's options.
    assert "pydantic" not in imported_by("--help")


def test_our_own_path_to_a_rule_imports_no_pydantic(project):
    (project / "cognate.toml").unlink()
    code = (
        "import sys; from cognate.cli.common import skills_and_settings, find_rule; from cognate.discovery import all_rules\n"
        "from cognate.render.manual import render; rules = all_rules(skills_and_settings()[0]); render(rules[0])\n"
        "sys.exit(sorted({'pydantic', 'rich', 'jinja2', 'torch', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr


def test_rule_imports_nothing_heavy(project):
    (project / "cognate.toml").unlink()
    some_rule = next(line.split()[0] for line in rules_of_the_house())
    assert not imported_by("rule", some_rule) & HEAVY
    assert not imported_by("rules") & HEAVY


def rules_of_the_house():
    from cognate.discovery import all_rules, load_skills

    return [f"{rule.code} {rule.name}" for rule in all_rules(load_skills())]


def test_no_arguments_names_the_three_commands(cli):
    done = cli()
    assert done.returncode == 0
    assert all(f"cognate {verb}" in done.stdout for verb in ("doctor", "run", "gate"))


def test_version(cli):
    import cognate

    assert cli("--version").stdout == f"cognate {cognate.__version__}\n"


@pytest.mark.parametrize(
    "verb", ["doctor", "run", "report", "gate", "rule", "rules", "skills", "skills list", "skills check", "skills new"]
)
def test_every_verb_has_examples(cli, verb):
    done = cli(*verb.split(), "--help")
    assert done.returncode == 0
    assert "Examples:\n" in done.stdout and f"cognate {verb}" in done.stdout.split("Examples:")[1]


def test_unknown_verb_gets_the_nearest(cli):
    done = cli("dcotor")
    assert done.returncode == 2
    assert "doctor" in done.stderr


def test_a_fault_of_ours_is_one_line_and_exit_3(cli, make_case, project):
    make_case()
    # A settings file that is a folder's worth of trouble: the skill's rule file removes the interpreter's own json.
    (project / "team" / "checks" / "zzz" / "spoil.py").write_text("import difflib\ndifflib.get_close_matches = None\n")
    done = cli("rule", "nosuch")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1 and "cognate --traceback" in done.stderr
    shown = cli("--traceback", "rule", "nosuch")
    assert shown.returncode != 0 and "Traceback" in shown.stderr


def test_locale_without_our_characters(cli, make_case):
    case = make_case(loss=99.0)
    done = cli("doctor", str(case), PYTHONUTF8="0", LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 1
    assert "x UNHEALTHY" in done.stdout
