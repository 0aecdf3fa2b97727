"""Command lines, targets and logs: which interpreter, which flags, which path, which error."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cognate.errors import UsageError
from cognate.observe.environment.errors import command_of, read
from cognate.observe.environment.target import request_of
from cognate.observe.environment.words import read_line

TRACEBACK = """Traceback (most recent call last):
  File "{script}", line 3, in <module>
    from datasets import load_dataset
ImportError: cannot import name 'load_dataset' from 'datasets' (unknown location)
"""


@pytest.mark.parametrize(
    ("words", "script", "module", "flags"),
    [
        (["PY", "train.py", "--lr", "1"], "train.py", None, ""),
        (["PY", "-I", "-W", "ignore", "-X", "dev", "train.py"], "train.py", None, "I"),
        (["PY", "-sE", "-m", "pkg.train", "-x"], None, "pkg.train", "sE"),
        (["env", "-u", "A", "B=1", "nohup", "PY", "-u", "train.py"], "train.py", None, "u"),
        (["nice", "-n", "5", "PY", "-mpkg.train"], None, "pkg.train", ""),
        (["PY", "-m", "torch.distributed.run", "--nproc-per-node", "2", "train.py"], "train.py", None, ""),
    ],
)
def test_command_lines(lab: Any, words: list[str], script: str | None, module: str | None, flags: str) -> None:
    request = read_line([lab.python if word == "PY" else word for word in words], lab.work, {"A": "1", "PATH": "/usr/bin:/bin"})
    command = request.command
    assert (str(command.script) if command.script else None, command.module, command.flags) == (script, module, flags)
    assert request.python == lab.python
    assert ("A" in request.environ) is (words[0] != "env")


def test_shell_script_is_followed_to_its_python(lab: Any) -> None:
    lab.write(
        "jobs/run.sh", "#!/bin/bash\nexport HF_HOME=/data\nDATA=x python3 --version\ncd ..\n" + f"{lab.python} -P train.py $@\n"
    )
    lab.write("train.py", "import json")
    request = read_line(["bash", "jobs/run.sh"], lab.work, {"PATH": str(lab.venv / "bin")})
    assert (request.environ["HF_HOME"], request.command.flags, request.python) == ("/data", "P", lab.python)
    assert request.command.cwd == lab.root


def test_code_on_the_command_line(lab: Any) -> None:
    lab.expect("env-import-missing", True, "einops", words=[lab.python, "-c", "import einops"])
    lab.expect("", False, words=[lab.python, "-c", "import json"])


def test_kernel_of_a_notebook(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = lab.root / "share" / "kernels" / "gone" / "kernel.json"
    spec.parent.mkdir(parents=True)
    notebook = {"cells": [{"cell_type": "code", "source": "import json"}], "metadata": {"kernelspec": {"name": "gone"}}}
    lab.write("a.ipynb", json.dumps(notebook))
    environ = {"JUPYTER_PATH": str(lab.root / "share"), "HOME": str(lab.root)}
    spec.write_text(json.dumps({"argv": [lab.python, "-m", "ipykernel_launcher"], "env": {"X": "1"}}))
    request = request_of("a.ipynb", lab.work, environ)
    assert (request.python, request.environ["X"]) == (lab.python, "1") and "kernel gone" in request.chosen_by
    spec.write_text(json.dumps({"argv": ["/opt/gone/bin/python", "-m", "ipykernel_launcher"]}))
    assert request_of("a.ipynb", lab.work, environ).problem["kind"] == "dangling"
    spec.unlink()
    assert request_of("a.ipynb", lab.work, environ).problem["kind"] == "kernel-missing"


@pytest.mark.parametrize("words", [[], ["no-such-program"], ["bash", "empty.sh"]])
def test_commands_that_run_no_python(lab: Any, words: list[str]) -> None:
    lab.write("empty.sh", "#!/bin/bash\necho hello\n")
    with pytest.raises(UsageError):
        read_line(words, lab.work, {"PATH": "/usr/bin:/bin"})


def test_a_traceback_names_its_script_and_its_error(lab: Any) -> None:
    script = lab.write("train.py", "import json\n\nfrom datasets import load_dataset")
    (error,) = read(TRACEBACK.format(script=script))
    assert (error["type"], error["file"], error["line"]) == ("ImportError", str(script), 3)
    assert command_of([error])[0] == script


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ImportError: /lib/libstdc++.so.6: version `GLIBCXX_3.4.32' not found (required by x.so)", "GLIBCXX_3.4.32"),
        ("RuntimeError: operator torchvision::nms does not exist", "does not match torch"),
        ("AttributeError: module 'pyarrow' has no attribute 'PyExtensionType'", "pyarrow"),
        ("OSError: [Errno 24] Too many open files", "open files"),
        ("OMP: Error #15: Initializing libiomp5, but found libiomp5 already initialized.", "OpenMP"),
        ("AssertionError: Torch not compiled with CUDA enabled", "CPU-only"),
    ],
)
def test_a_log_alone_is_explained(lab: Any, text: str, words: str) -> None:
    lab.write("train.py", "import json")
    lab.expect("env-import-failed", True, words, errors=read(text))


def test_the_machine_says_more_than_the_log(lab: Any) -> None:
    lab.install("datasets", "4.0.0", {"datasets/__init__.py": "def load_dataset(): ..."})
    script = lab.write("train.py", "from datasets import load_dataset")
    lab.write("datasets.py", "class Rows: ...")
    found = lab.diagnose(errors=read(TRACEBACK.format(script=script)))
    assert [item.name for item in found.root_causes] == ["env-shadowed-module"]
    assert {item.name: item.explained_by for item in found.findings}["env-import-failed"] == "env-shadowed-module"


@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONHOME": "/nonexistent"},
        {"PYTHONPATH": "HOSTILE"},
        {"LC_ALL": "C"},
        {"PYTHONIOENCODING": "utf-16"},
        {"PYTHONSTARTUP": "x"},
    ],
)
def test_hostile_variables_reach_nobody(lab: Any, variables: dict[str, str]) -> None:
    """A json.py on PYTHONPATH would break the probe if it were obeyed."""
    lab.write("hostile/json.py", "raise SystemExit(9)")
    lab.write("hostile/sitecustomize.py", "X = 1")
    lab.environ |= {key: value.replace("HOSTILE", str(lab.work / "hostile")) for key, value in variables.items()}
    lab.write("train.py", "import os")
    assert lab.examine().environment["python"]["version"]


def test_files_are_read_only(lab: Any) -> None:
    """Tripwires in every module, and a project that is compared byte by byte: `Lab.examine` checks both."""
    lab.install("datasets", "4.0.0", {"datasets/__init__.py": "from . import load", "datasets/load.py": ""})
    (lab.site / "sitecustomize.py").write_text(f"open({str(lab.wire)!r}, 'w')\n")
    (lab.site / "evil.pth").write_text(f"import os; open({str(lab.wire)!r}, 'w')\n")
    lab.write("conftest.py", "")
    lab.write("tests/test_a.py", "import datasets")
    for options in ({"script": "tests/test_a.py"}, {"words": [lab.python, "-m", "pytest", "tests"]}):
        lab.examine(**options)
    assert not Path(lab.wire).exists()
