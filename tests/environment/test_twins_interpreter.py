"""Causes on faulty and healthy twins: interpreters, switches, start-up."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cognate.observe import environment

both = pytest.mark.parametrize("faulty", [True, False], ids=["faulty", "healthy"])
LOADS = {"datasets/__init__.py": "def load_dataset(name, *a, **k): ...\n"}


# ── the interpreter and its switches ──────────────────────────────────────────────────────────────────────────────


def other(lab: Any, folder: Path) -> Path:
    """Another environment with datasets in it; returns its python."""
    lab.install("datasets", "4.0.0", LOADS, site=lab.environment(folder))
    return folder / "bin" / "python"


@both
def test_pip_elsewhere(lab: Any, faulty: bool) -> None:
    """Pip on PATH installs for another Python."""
    python = other(lab, lab.root / "elsewhere")
    tools = lab.root / "tools"
    tools.mkdir()
    (tools / "pip").write_text(f"#!{python}\nimport pip\n")
    (tools / "pip").chmod(0o755)
    lab.environ["PATH"] = str(tools)
    lab.write("train.py", "from datasets import load_dataset")
    if not faulty:
        lab.install("datasets", "4.0.0", LOADS)
    lab.expect("env-wrong-interpreter", faulty, "is installed for")


@both
def test_shell_script(lab: Any, faulty: bool) -> None:
    """The shell script activates one environment and starts another's Python."""
    other(lab, lab.work / ".venv")
    program = lab.python if faulty else "python"
    lab.write(
        "run.sh",
        f'#!/bin/bash\nset -e\ncd "$(dirname "$0")"\nsource .venv/bin/activate\nexport X=1\n{program} train.py --lr 1e-3\n',
    )
    lab.write("train.py", "from datasets import load_dataset")
    lab.expect("env-wrong-interpreter", faulty, "is installed for", words=["bash", "run.sh"])


@both
def test_dangling(lab: Any, faulty: bool) -> None:
    """The environment's base was removed."""
    lab.write("train.py", "import json")
    python = lab.venv / "bin" / "python"
    if faulty:
        python.unlink()
        python.symlink_to("/opt/gone/bin/python3.9")
    lab.expect("env-interpreter-broken", faulty, "does not exist", words=[str(python), "train.py"])


@both
def test_no_stdlib(lab: Any, faulty: bool) -> None:
    """The interpreter finds no standard library."""
    lab.write("train.py", "import json")
    sick = lab.root / "sick"
    sick.write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'encodings'\" >&2\nexit 1\n")
    sick.chmod(0o755)
    lab.expect(
        "env-interpreter-broken",
        faulty,
        "encodings",
        **({"words": [str(sick) if faulty else lab.python, "train.py"]} if not faulty else {"python": str(sick)}),
    )


@both
def test_requires_python(lab: Any, faulty: bool) -> None:
    """A package asks for a newer Python."""
    lab.install("trl", "1.0", headers=(f"Requires-Python: >={'3.99' if faulty else '3.8'}",))
    lab.write("train.py", "import trl")
    lab.expect("env-python-version", faulty, "requires Python >=3.99")


@both
def test_isolated(lab: Any, faulty: bool) -> None:
    """-I leaves out the script's folder."""
    lab.write("helpers.py", "X = 1")
    lab.write("train.py", "import helpers")
    lab.expect("env-path-switched-off", faulty, "-I", words=[lab.python, *(["-I"] if faulty else ["-u"]), "train.py"])


@both
def test_no_user_site(lab: Any, faulty: bool) -> None:
    """PYTHONNOUSERSITE hides the user's packages."""
    user_site(lab, "einops", "0.8.0")
    lab.environ["PYTHONNOUSERSITE"] = "1" if faulty else ""
    lab.write("train.py", "import einops")
    lab.expect("env-path-switched-off", faulty, "PYTHONNOUSERSITE")


def user_site(lab: Any, name: str, version: str) -> None:
    """Install into the user's own site-packages, and let the environment see them."""
    lab.environ["PYTHONUSERBASE"] = str(lab.root / "home")
    config = lab.venv / "pyvenv.cfg"
    config.write_text(config.read_text().replace("= false", "= true"))
    site = lab.root / "home" / "lib" / f"python3.{sys.version_info[1]}" / "site-packages"
    lab.install(name, version, site=site)


@both
def test_user_site(lab: Any, faulty: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user's old copy wins over that of an environment which is no virtual one (conda, a system Python)."""
    home = lab.root / "home"
    lab.install("einops", "1.0", site=home)
    lab.write("train.py", "import einops")
    if faulty:
        lab.install("einops", "2.0")
    sites = (("user-site", str(home)), ("site-packages", str(lab.site)))
    real = environment.ask
    monkeypatch.setattr(environment, "ask", lambda *words: replace(real(*words), site=sites, venv=None))
    lab.expect("env-user-site-override", faulty, "user site", "1.0")


@both
def test_sitecustomize(lab: Any, faulty: bool) -> None:
    """Sitecustomize exits."""
    (lab.site / "sitecustomize.py").write_text("import sys\n" + ("sys.exit('no')\n" if faulty else "X = 1\n"))
    lab.write("train.py", "import json")
    lab.expect("env-startup-file", faulty, "sitecustomize.py")


@both
def test_carriage_return(lab: Any, faulty: bool) -> None:
    """The first line ends in a carriage return."""
    end = b"\r\n" if faulty else b"\n"
    (lab.work / "train.py").write_bytes(b"#!" + lab.python.encode() + end + b"import json" + end)
    lab.expect("env-shebang-broken", faulty, "carriage return", words=["./train.py"])


@both
def test_shebang(lab: Any, faulty: bool) -> None:
    """The first line names an interpreter that is gone."""
    python = "/opt/py39/bin/python" if faulty else lab.python
    (lab.work / "train.py").write_text(f"#!{python}\nimport json\n")
    lab.expect("env-shebang-broken", faulty, "does not exist", words=["./train.py"])


@both
def test_python_home(lab: Any, faulty: bool) -> None:
    """PYTHONHOME names another installation."""
    lab.environ["PYTHONHOME"] = "/opt/python39" if faulty else sys.base_prefix
    lab.write("train.py", "import json")
    lab.expect("env-python-home", faulty, "PYTHONHOME=/opt/python39")


@both
def test_environment_upgraded_in_place(lab: Any, faulty: bool) -> None:
    """The packages lie in lib/python3.9 of an environment that is now of another version."""
    lab.write("train.py", "import einops")
    version = "3.9" if faulty else f"3.{sys.version_info[1]}"
    lab.install("einops", "0.8.0", site=lab.venv / "lib" / f"python{version}" / "site-packages")
    lab.expect("env-python-version", faulty, "for Python 3.9")
