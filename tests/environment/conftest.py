"""A laboratory: a real virtual environment with made-up packages, scripts beside it, and tripwires in both."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cognate.case.case import Case
from cognate.diagnosis import Diagnosis, diagnose
from cognate.discovery import load_skills
from cognate.observe.environment import examine
from cognate.observe.environment.machine import Machine
from cognate.observe.environment.syspath import Command
from cognate.observe.environment.words import Request, read_line
from cognate.rules.runner import Selection

# Variables of the machine that runs the tests, which would be evidence.
HOST = (
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "LC_ALL",
    "LANG",
)
# Executed by mistake, a module leaves this file behind.
TRIPWIRE = "import pathlib as _p; _p.Path(r'{}').touch()\n"


def make_venv(folder: Path) -> Path:
    """Make the smallest thing that CPython accepts as a virtual environment; return its site-packages."""
    base = Path(sys.base_prefix) / "bin" / f"python{sys.version_info[0]}.{sys.version_info[1]}"
    base = base if base.exists() else Path(os.path.realpath(sys.executable))
    site = folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    site.mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(base)
    (folder / "pyvenv.cfg").write_text(f"home = {base.parent}\ninclude-system-site-packages = false\n")
    return site


@dataclass
class Lab:
    """One project folder and one virtual environment outside it."""

    root: Path
    work: Path
    venv: Path
    site: Path
    wire: Path
    cases: int = 0
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def python(self) -> str:
        return str(self.venv / "bin" / "python")

    @staticmethod
    def environment(folder: Path) -> Path:
        """Make another environment; return its site-packages."""
        return make_venv(folder)

    def write(self, name: str, text: str = "") -> Path:
        """Write a file of the project that trips the wire when it is run."""
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n" + TRIPWIRE.format(self.wire) if name.endswith(".py") else text)
        return path

    def install(
        self,
        name: str,
        version: str,
        files: Mapping[str, str | bytes] | None = None,
        *,
        site: Path | None = None,
        requires: tuple[str, ...] = (),
        direct_url: str = "",
        headers: tuple[str, ...] = (),
        wheel: str = "py3-none-any",
    ) -> Path:
        """Lay out a distribution as pip would; return its metadata folder."""
        site = site or self.site
        files = {f"{name}/__init__.py": ""} if files is None else files
        for file, text in files.items():
            path = site / file
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(text, bytes):
                path.write_bytes(text)
            else:
                path.write_text(text + "\n" + TRIPWIRE.format(self.wire) if file.endswith(".py") else text)
        metadata = site / f"{name.replace('-', '_')}-{version}.dist-info"
        metadata.mkdir()
        lines = [*(f"Requires-Dist: {item}\n" for item in requires), *(f"{item}\n" for item in headers)]
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{''.join(lines)}\n")
        (metadata / "RECORD").write_text("".join(f"{file},sha256=x,{(site / file).stat().st_size}\n" for file in files))
        (metadata / "WHEEL").write_text(f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {wheel}\n")
        if direct_url:
            (metadata / "direct_url.json").write_text(direct_url)
        return metadata

    def examine(
        self,
        script: str | None = "train.py",
        *,
        module: str | None = None,
        cwd: Path | None = None,
        flags: str = "",
        words: list[str] | None = None,
        machine: Machine | None = None,
        errors: list[dict[str, Any]] | None = None,
        python: str | None = None,
    ) -> Case:
        """Examine a command (`words`: a whole command line) and check that nothing was run and the project is as before."""
        before = self.contents()
        self.cases += 1
        folder = self.root / f"case{self.cases}"
        environ = {**os.environ, **self.environ}
        command = Command(cwd or self.work, Path(script) if script and module is None else None, module, flags)
        request = Request(command, python or self.python, "the laboratory", environ)
        if words is not None:
            request = read_line(words, cwd or self.work, environ)
        examine(folder, request=request, machine=machine or Machine(), errors=errors)
        assert not self.wire.exists(), "code under examination was run"
        assert self.contents() == before
        return Case.open(folder)

    def diagnose(self, script: str = "train.py", **options: object) -> Diagnosis:
        """Examine a command and judge it by the rules about environments."""
        case = self.examine(script, **options)  # type: ignore[arg-type]
        result = diagnose(case, load_skills(), Selection(select=("ENV",)))
        assert not result.crashed
        return result

    def expect(self, cause: str, faulty: bool, *says: str, **options: Any) -> None:
        """The root cause of a faulty twin is `cause`, in words that hold `says`; a healthy twin has none."""
        found = self.diagnose(**options)
        told = [(item.name, item.title) for item in found.root_causes]
        if not faulty:
            assert told == []
            return
        assert told and told[0][0] == cause, told
        assert all(word in told[0][1] for word in says), told

    def causes(self, script: str = "train.py", **options: object) -> list[str]:
        """Names of the root causes, first one first."""
        return [item.name for item in self.diagnose(script, **options).root_causes]

    def contents(self) -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in sorted(self.work.rglob("*")) if p.is_file() and p.suffix != ".pyc"}

    def really(self, code: str, *, script: str | None = None, environ: dict[str, str] | None = None) -> str:
        """What the real interpreter prints for `code` (written to `script` where one is named)."""
        clean = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
        clean |= {"PYTHONDONTWRITEBYTECODE": "1", **(environ or {})}
        command = [self.python, "-c", code]
        if script is not None:
            (self.work / script).parent.mkdir(parents=True, exist_ok=True)
            (self.work / script).write_text(code)
            command = [self.python, script]
        done = subprocess.run(command, cwd=self.work, env=clean, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture
def make_lab(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Lab]:
    for name in [*os.environ]:
        if name.startswith("PYTHON") or name in ("VIRTUAL_ENV", "CONDA_PREFIX", *HOST):
            monkeypatch.delenv(name)
    # An empty PATH: what this machine happens to have installed is no part of any test.
    monkeypatch.setenv("PATH", "/nonexistent")

    def make() -> Lab:
        root = tmp_path_factory.mktemp("lab").resolve()
        work = root / "project"
        work.mkdir()
        (work / "pyproject.toml").write_text('[project]\nname = "my-project"\n')
        return Lab(root, work, root / "venv", make_venv(root / "venv"), root / "tripped")

    return make


@pytest.fixture
def lab(make_lab: Callable[[], Lab]) -> Lab:
    return make_lab()
