"""The everyday command lines of `cognate doctor` are read without typer: same options, same output, same exit code."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from typer.testing import CliRunner

from cognate.cli import doctor_command, doctor_words
from cognate.cli.app import app

LEFT_TO_TYPER = "import cognate.cli.doctor_words as words; words.read = lambda given: None\n"
COMMAND = "import sys; sys.argv[0] = 'cognate'\nfrom cognate.cli.main import run\nrun()"


def by_typer(words):
    """What typer makes of the words: (exit code, Asked or None)."""
    seen = []
    before, doctor_command.diagnose = doctor_command.diagnose, lambda asked: seen.append(asked) or 0
    try:
        result = CliRunner().invoke(app, ["doctor", *words])
    finally:
        doctor_command.diagnose = before
    return result.exit_code, seen[0] if seen else None


@example([])
@example(["train.py", "--format", "xml"])
@example(["train.py", "other.py"])
@example(["--log", "-"])
@example(["--", "python", "-I", "train.py", "--quiet"])
@example(["--"])
@example(["--forma", "json", "train.py"])
@example(["-qv", "train.py"])
@given(
    st.lists(
        st.sampled_from([
            *doctor_words.FLAGS,
            *doctor_words.VALUED,
            *("train.py", "json", "terminal", "a b", "", "-", "--", "--format=json", "-ojson", "-h", "--nothing", "-mpkg", "-qv"),
        ]),
        max_size=6,
    )
)  # fmt: skip
def test_what_is_read_is_what_typer_would_have_read(words):
    asked = doctor_words.read(words)
    if asked is not None:
        assert (0, asked) == by_typer(words)


@pytest.mark.parametrize("words", [["train.py"], ["train.py", "-v", "--python", "py"], ["-m", "pkg", "--fix", "--dry-run"], []])
def test_everyday_words_are_read(words):
    assert doctor_words.read(words) is not None


def run(code, words, folder):
    done = subprocess.run([sys.executable, "-c", code, "doctor", *words], cwd=folder, capture_output=True, encoding="utf-8")
    # The time that it took is no part of the comparison.
    return re.sub(r'\d+\.\d s;|"(started|seconds)": \S+', "", done.stdout), done.stderr, done.returncode


@pytest.mark.parametrize(
    "words",
    [
        ["train.py"],
        ["train.py", "--format", "json"],
        ["train.py", "--fix", "--dry-run"],
        ["missing.py"],
        ["empty.py", "-q"],
        ["train.py", "other.py"],
        ["--log", "crash.txt", "--format", "markdown"],
        ["--", "python", "-I", "train.py"],
    ],
    ids=" ".join,
)
def test_both_ways_say_the_same(tmp_path, words):
    (tmp_path / "train.py").write_text("from rich import print\nimport numpie\n")
    (tmp_path / "rich.py").write_text("x = 1\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "crash.txt").write_text("ModuleNotFoundError: No module named 'rich.console'; 'rich' is not a package\n")
    assert run(COMMAND, words, tmp_path) == run(LEFT_TO_TYPER + COMMAND, words, tmp_path)


def test_an_everyday_diagnosis_imports_neither_typer_nor_what_it_needs(tmp_path):
    (tmp_path / "train.py").write_text("import json\n")
    code = "import atexit, sys; atexit.register(lambda: print(*sorted(sys.modules), file=sys.stderr))\n" + COMMAND
    modules = set(run(code, ["train.py"], tmp_path)[1].split())
    assert "cognate.diagnosis.diagnose" in modules
    assert not modules & {"typer", "click", "rich", "pydantic", "jinja2", "typing_extensions", "cognate.case.schema"}


def test_a_reader_that_leaves_early_gets_no_traceback(tmp_path):
    (tmp_path / "train.py").write_text("import json\n")
    command = [sys.executable, "-c", COMMAND, "doctor", "train.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait() == 1
