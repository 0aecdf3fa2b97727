"""A patient: a script in a folder of its own, run by plain Python and by Python with the recorder in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from cognate.case.case import Case

# What `cognate run` does, without the diagnosis: observe, then end as the script ended.
DRIVER = """
import json, sys
from pathlib import Path
from cognate.observe.live.launch import observe
options = json.loads(sys.argv[1])
code = observe(case=Path(options.pop("case")), **options)
sys.exit(code if code >= 0 else 128 - code)
"""


@dataclass
class Run:
    """How a script ended, and the case where it was observed."""

    code: int
    stdout: str
    stderr: str
    case: Case
    folder: Path

    @property
    def complaints(self) -> list[str]:
        return [line for line in self.stderr.splitlines() if line.startswith("cognate:")]


@dataclass
class Patient:
    """One folder with a script."""

    folder: Path
    script: str = "train.py"
    runs: int = 0
    variables: dict[str, str] = field(default_factory=dict)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def environment(self, variables: dict[str, str]) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("COGNATE", "PYTHON"))}
        return {**kept, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "1", **self.variables, **variables}

    def plain(self, *args: str, module: str | None = None, stdin: str = "", **variables: str) -> Run:
        command = [sys.executable, *(["-m", module] if module else [self.script]), *args]
        done = self._done(command, stdin, variables)
        return Run(done.returncode, done.stdout, done.stderr, Case.of(), self.folder)

    def command(self, *args: str, module: str | None = None, **options: Any) -> tuple[list[str], Path]:
        """The command line that runs the script observed, and where its case will lie."""
        import json

        self.runs += 1
        case = self.folder.parent / f"{self.folder.name}-case{self.runs}"
        script = None if module else self.script
        wanted = {"script": script, "module": module, "args": list(args), "case": str(case), **options}
        # Isolated, because PYTHONPATH and the files beside the script are the script's and not the driver's.
        return [sys.executable, "-I", "-c", DRIVER, json.dumps(wanted)], case

    def observed(
        self,
        *args: str,
        module: str | None = None,
        stdin: str = "",
        options: dict[str, Any] | None = None,
        **variables: str,
    ) -> Run:
        command, case = self.command(*args, module=module, **(options or {}))
        done = self._done(command, stdin, variables)
        return Run(done.returncode, done.stdout, done.stderr, Case.open(case), case)

    def _done(self, command: list[str], stdin: str, variables: dict[str, str]) -> subprocess.CompletedProcess[str]:
        environment = self.environment(variables)
        return subprocess.run(
            command, cwd=self.folder, env=environment, input=stdin, capture_output=True, encoding="utf-8", timeout=180
        )


NewPatient = Callable[..., Patient]


@pytest.fixture(scope="module")
def new_patient(tmp_path_factory: pytest.TempPathFactory) -> NewPatient:
    """Make a folder with the given script; the keyword arguments are further files."""

    def make(text: str, folder: str = "project", files: dict[str, str] | None = None) -> Patient:
        patient = Patient(tmp_path_factory.mktemp("patient") / folder)
        patient.write("train.py", text)
        for name, content in (files or {}).items():
            patient.write(name, content)
        return patient

    return make
