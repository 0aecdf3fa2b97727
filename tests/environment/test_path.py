"""The computed path and the computed winners equal what the real interpreter does."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cognate.errors import UsageError
from cognate.observe.environment import describe
from cognate.observe.environment.interpreter import ask

PRINT_PATH = "import sys, json; print(json.dumps(sys.path))"
SETTINGS = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
FOLDERS = ("a", "b", "scripts", ".")


def paths(information: Any) -> list[str]:
    return [entry["path"] for entry in information["path"] if entry["origin"] != "editable-hook"]


@SETTINGS
@given(
    entries=st.lists(st.sampled_from(["a", "b", "missing", "", "{work}/a", "{site}", "./b/../a"]), max_size=5),
    folder=st.sampled_from(["", "scripts", "a"]),
    pth=st.lists(st.sampled_from(["../../../../project/b", "# comment", "nowhere", "sub", "import os"]), max_size=4),
)
def test_path_equals_that_of_the_real_interpreter(
    make_lab: Callable[[], Any], entries: list[str], folder: str, pth: list[str]
) -> None:
    lab = make_lab()
    for name in (*FOLDERS, "scripts"):
        (lab.work / name).mkdir(exist_ok=True)
    (lab.site / "sub").mkdir()
    (lab.site / "extra.pth").write_text("\n".join(pth) + "\n")
    value = ":".join(entry.format(work=lab.work, site=lab.site) for entry in entries)
    environ = {"PYTHONPATH": value} if entries else {}
    script = f"{folder}/train.py".lstrip("/")
    real = json.loads(lab.really(PRINT_PATH, script=script, environ=environ))
    found = describe(script=lab.work / script, python=lab.python, cwd=lab.work, environ=environ)
    assert paths(found) == real


@SETTINGS
@given(
    layout=st.lists(
        st.tuples(st.sampled_from(["script", "PYTHONPATH", "site"]), st.sampled_from(["package", "module", "folder"])),
        min_size=1,
        max_size=5,
        unique=True,
    )
)
def test_winner_equals_what_the_real_interpreter_loads(make_lab: Callable[[], Any], layout: list[tuple[str, str]]) -> None:
    lab = make_lab()
    places = {"script": lab.work, "PYTHONPATH": lab.work / "more", "site": lab.site}
    places["PYTHONPATH"].mkdir()
    for place, kind in layout:
        base = places[place] / "thing"
        if kind == "module":
            base.with_suffix(".py").write_text("")
        else:
            base.mkdir(exist_ok=True)
        if kind == "package":
            (base / "__init__.py").write_text("")
    code = "import thing; print(list(getattr(thing, '__path__', [thing.__file__]))[0])"
    environ = {"PYTHONPATH": str(places["PYTHONPATH"])}
    real = lab.really(code, script="train.py", environ=environ).strip()
    found = describe(script=lab.work / "train.py", python=lab.python, cwd=lab.work, environ=environ)
    row = next(row for row in found["imports"] if row["module"] == "thing")
    assert row["winner"]["file"] == real


def test_edits_of_sys_path_are_followed_as_python_does(lab: Any) -> None:
    for name in ("one", "two", "three"):
        (lab.work / "libs" / name).mkdir(parents=True)
        (lab.work / "libs" / name / f"only_{name}.py").write_text("")
        (lab.work / "libs" / name / "common.py").write_text("")
    code = """
import os, sys
from pathlib import Path
HERE = Path(__file__).resolve().parent
LIBS = HERE.parent / "libs"
sys.path.append(str(LIBS / "one"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "libs", "two"))
def setup():
    sys.path[:0] = [f"{LIBS}/three"]
setup()
import common, only_one, only_two, only_three
print(os.path.realpath(common.__file__))
"""
    real = lab.really(code, script="scripts/train.py").strip()
    found = describe(script=lab.work / "scripts/train.py", python=lab.python, cwd=lab.work, environ={})
    rows = {row["module"]: row for row in found["imports"]}
    assert rows["common"]["winner"]["file"] == real == str(lab.work / "libs/three/common.py")
    assert all(rows[f"only_{name}"]["status"] == "found" for name in ("one", "two", "three"))
    assert rows["common"]["winner"]["by"].endswith("scripts/train.py:9")


def test_a_module_starts_in_the_working_folder_and_safe_path_leaves_it_out(lab: Any) -> None:
    (lab.work / "pkg").mkdir()
    (lab.work / "pkg" / "__init__.py").write_text("")
    (lab.work / "pkg" / "train.py").write_text("from . import data\n")
    (lab.work / "pkg" / "data.py").write_text("")
    found = describe(module="pkg.train", python=lab.python, cwd=lab.work, environ={})
    assert found["path"][0]["origin"] == "cwd"
    assert {path.rpartition("/")[2] for path in found["sources"]} == {"__init__.py", "train.py", "data.py"}
    isolated = describe(script=lab.work / "pkg/train.py", python=lab.python, cwd=lab.work, environ={}, flags="I")
    assert all(entry["origin"] not in ("script", "cwd") for entry in isolated["path"])


def test_hostile_variables_do_not_reach_the_probe(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write("train.py", "import json")
    (lab.site / "sitecustomize.py").write_text("raise RuntimeError('sick')")
    for name, value in {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "PYTHONIOENCODING": "bad"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("LC_ALL", "C")
    case = lab.examine()
    assert case.environment["python"]["prefix"] == str(lab.venv)
    assert case.environment["variables"]["PYTHONHOME"] == "/nowhere"


def test_secrets_are_redacted_by_name_and_by_shape(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.write("train.py")
    monkeypatch.setenv("WANDB_API_KEY", "0123")
    monkeypatch.setenv("HF_ENDPOINT", "https://user:pass@example.org")
    monkeypatch.setenv("TORCH_NOTE", "hf_abcdefghijklmnop")
    monkeypatch.setenv("HF_HOME", "/data/hf")
    variables = lab.examine().environment["variables"]
    assert variables["WANDB_API_KEY"] == "[redacted]"
    assert "pass" not in variables["HF_ENDPOINT"] and "hf_abc" not in variables["TORCH_NOTE"]
    assert variables["HF_HOME"] == "/data/hf"


def test_bad_input_is_one_sentence(lab: Any) -> None:
    with pytest.raises(UsageError, match=r"There is no nothing\.py"):
        describe(script=Path("nothing.py"), cwd=lab.work)
    with pytest.raises(UsageError, match="no interpreter"):
        describe(python="/no/such/python", cwd=lab.work)
    sick = lab.work / "sick"
    sick.write_text("#!/bin/sh\nexit 3\n")
    sick.chmod(0o755)
    with pytest.raises(UsageError, match="does not work as a Python"):
        ask(str(sick))
    assert describe(python=str(sick), cwd=lab.work)["startup"][0]["text"] == "exit code 3"
    with pytest.raises(UsageError, match="no module nowhere"):
        describe(module="nowhere", python=lab.python, cwd=lab.work)


def test_without_a_target_the_case_is_an_environment(lab: Any) -> None:
    lab.install("thing", "1.0")
    case = lab.examine(None)
    assert case.info["kind"] == "environment"
    assert {"name": "thing", "version": "1.0", "location": str(lab.site)} in case.environment["distributions"]
