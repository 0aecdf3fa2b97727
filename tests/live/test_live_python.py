"""The script finds the Python that it would have found: path, variables, modules of its own, children, input."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

LOOK = """
import os, sys
def look():
    return {
        "path": sys.path, "argv": sys.argv, "orig_argv": sys.orig_argv[1:], "flags": str(sys.flags),
        "variables": {k: v for k, v in os.environ.items() if k not in ("_", "SHLVL", "LC_CTYPE")},
        "name": __name__, "file": globals().get("__file__"), "package": __package__, "doc": __doc__, "cwd": os.getcwd(),
        "main": sorted(k for k in vars(sys.modules["__main__"]) if k.startswith("__")),
        "stdout": [sys.stdout.encoding, sys.stdout.errors, sys.stdout.name, sys.stdout.isatty(), sys.stdout.line_buffering],
        "hooks": [sys.excepthook is sys.__excepthook__, sys.displayhook is sys.__displayhook__],
    }
"""


def same(plain, observed):
    assert plain.code == 0, plain.stderr
    assert (observed.code, observed.stdout, observed.stderr) == (plain.code, plain.stdout, plain.stderr)


def test_path_arguments_and_variables(new_patient):
    patient = new_patient(LOOK + "import json\nprint(json.dumps(look(), indent=1))\n")
    plain, observed = patient.plain("--lr", "1e-3", "-m", "a b"), patient.observed("--lr", "1e-3", "-m", "a b")
    same(plain, observed)
    assert json.loads(plain.stdout)["argv"][1:] == ["--lr", "1e-3", "-m", "a b"]


@pytest.mark.parametrize("value", ["", "lib", "lib:", "/nowhere:lib"])
def test_a_pythonpath_of_the_users_own(new_patient, value):
    patient = new_patient(
        "import sys, os, mine\nprint(sys.path, os.environ['PYTHONPATH'], mine.__file__)\n",
        files={"lib/mine.py": "", "mine.py" if value == "" else "lib/other.py": ""},
    )
    same(patient.plain(PYTHONPATH=value), patient.observed(PYTHONPATH=value))


def test_a_sitecustomize_of_the_users_own_runs_and_is_the_one_imported(new_patient):
    patient = new_patient(
        "import sys, builtins\nprint(builtins.marked, sys.modules['sitecustomize'].__file__)\n",
        files={"lib/sitecustomize.py": "import builtins; builtins.marked = getattr(builtins, 'marked', 0) + 1\n"},
    )
    same(patient.plain(PYTHONPATH="lib"), patient.observed(PYTHONPATH="lib"))


def test_a_broken_sitecustomize_complains_as_it_does(new_patient):
    patient = new_patient("print('on')\n", files={"lib/sitecustomize.py": "raise ValueError('no')\n"})
    same(patient.plain(PYTHONPATH="lib"), patient.observed(PYTHONPATH="lib"))


def test_a_module(new_patient):
    patient = new_patient("", files={"package/__init__.py": "", "package/train.py": LOOK + "print(look())\n"})
    same(patient.plain("-x", module="package.train"), patient.observed("-x", module="package.train"))


def test_standard_input(new_patient):
    patient = new_patient("import sys\nprint(input('name? '), sys.stdin.read().split())\n")
    same(patient.plain(stdin="a\nb c\n"), patient.observed(stdin="a\nb c\n"))


# Every name of the standard library that Cognate itself could need: the file beside the script wins, as in Python.
SHADOWS = [
    "json",
    "random",
    "platform",
    "traceback",
    "pathlib",
    "typing",
    "zlib",
    "functools",
    "weakref",
    "time",
    "copy",
]


@pytest.mark.parametrize("when", ["imported", "not imported", "imported with a crash"])
def test_files_that_shadow_the_standard_library(new_patient, when):
    """They are run when the script imports them, and not when it does not."""
    files = {f"{name}.py": f"print('this is the local {name}')\nmine = True\n" for name in SHADOWS if name != "typing"}
    body = {
        "imported": "import json, random, platform\nprint(json.mine, random.mine, platform.mine)\n",
        "not imported": "print('nothing')\n",
        "imported with a crash": "import json\nprint(json.mine)\nraise SystemExit(2)\n",
    }[when]
    patient = new_patient(body, files=files)
    plain, observed = patient.plain(), patient.observed()
    assert (observed.code, observed.stdout, observed.stderr) == (plain.code, plain.stdout, plain.stderr)
    assert observed.case.info["integrity"]["finished"] is True
    assert observed.case.info["versions"]["python"]


def test_modules_that_are_loaded_before_the_script_are_few(new_patient):
    """Nothing that a file beside the script could shadow may be in sys.modules early."""
    patient = new_patient("import sys\nprint('\\n'.join(sorted(sys.modules)))\n")
    added = set(patient.observed().stdout.split()) - set(patient.plain().stdout.split())
    assert {name.partition(".")[0] for name in added} <= {"cognate", "atexit", "sitecustomize", "__future__"}


def test_a_script_that_changes_its_directory(new_patient, tmp_path):
    run = new_patient(f"import os\nos.chdir({str(tmp_path)!r})\nprint('moved')\nraise ValueError('there')\n").observed()
    assert run.case.info["exception"]["site"]["file"] == "train.py"
    assert run.case.events("print")[0]["text"] == "moved"
    assert list(Path(tmp_path).iterdir()) == []


CHILDREN = """
import multiprocessing, os, subprocess, sys
def work(queue):
    print("child", flush=True)
    queue.put({k: v for k, v in os.environ.items() if "COGNATE" in k or k == "PYTHONPATH"})
if __name__ == "__main__":
    print("main")
    import torch
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for method in ("spawn", "fork"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=work, args=(queue,))
        process.start(); print(queue.get()); process.join(); print(process.exitcode)
    sys.stdout.flush()
    pid = os.fork()
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    if pid == 0:
        print("forked", flush=True)
        sys.exit(5)
    print(os.waitpid(pid, 0)[1] >> 8)
    print(subprocess.run([sys.executable, "-c", "import sys, os; print(sys.path[1:], os.environ.get('PYTHONPATH'))"],
                         capture_output=True, text=True).stdout)
"""


def test_children_run_as_they_would_and_are_not_recorded(new_patient):
    patient = new_patient(CHILDREN)
    plain, observed = patient.plain(), patient.observed()
    same(plain, observed)
    assert len(observed.case.metrics) == 1 and observed.case.calls["step"] == 1
    assert len(observed.case.events("call_counts")) == 1
    assert [e["text"] for e in observed.case.events("print") if e["text"] in ("main", "forked")] == ["main"]


def test_torch_is_seen_although_a_library_asked_for_its_spec_before(new_patient):
    body = """
    import importlib.util
    assert importlib.util.find_spec("torch").origin.endswith("__init__.py")
    assert importlib.util.find_spec("torch").loader.path
    import torch
    print(torch.__spec__.loader is torch.__loader__, type(torch.__loader__).__name__)
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    """
    # The folder's name holds characters that separate things elsewhere.
    patient = new_patient("", folder="R&D = a+b")
    patient.write("train.py", body)
    plain, observed = patient.plain(), patient.observed()
    same(plain, observed)
    assert observed.case.info["integrity"]["hooks"]
    assert observed.case.events("optimizer")[0]["site"] == {"file": "train.py", "line": 8, "function": "<module>"}


def test_a_local_torch_py_is_what_is_imported(new_patient):
    patient = new_patient("import torch\nprint(torch.mine)\n", files={"torch.py": "mine = 1\n"})
    plain, observed = patient.plain(), patient.observed()
    assert (observed.code, observed.stdout) == (plain.code, plain.stdout)
    assert len(observed.complaints) <= 1 and observed.case.info["integrity"]["finished"]


def test_the_command_keeps_everything_too(new_patient):
    """The same through `cognate run`, whose diagnosis goes to stderr."""
    import subprocess
    import sys

    patient = new_patient("import sys\nprint(sys.argv)\nsys.exit(7)\n")
    done = subprocess.run(
        [sys.executable, "-m", "cognate", "run", "--case", "kept", "train.py", "--case", "x"],
        cwd=patient.folder,
        env=patient.environment({"NO_COLOR": "1"}),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (7, "['train.py', '--case', 'x']\n")
    assert os.path.isfile(patient.folder / "kept" / "case.json")  # noqa: PTH113
