"""Runs programs and peers: in a copy of the program's folder, on one thread, with a time limit, its CPU seconds measured."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
LIMIT = 150.0  # seconds for one command; a program of the corpus alone takes up to a tenth of that
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


class NotRunError(Exception):
    """A peer that can't judge this program; the message says why."""


@dataclass(frozen=True)
class Program:
    """A program of the corpus."""

    id: str
    folder: Path
    healthy: bool
    accepted: frozenset[str]  # the cause and its accepted alternatives
    base: str  # id of the fixed twin; its own where it is healthy

    @property
    def sources(self) -> str:
        """All its Python text, to see which frameworks it uses."""
        return "\n".join(path.read_text(errors="replace") for path in sorted(self.folder.rglob("*.py")))


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int | None  # None: it ran into the limit
    cpu: float
    output: str


@dataclass
class Workshop:
    """Where the peers are installed and where the runs leave their files. One for each program at work."""

    tools: Path
    folder: Path
    programs: Mapping[str, Program] = field(default_factory=dict)

    def copy(self, program: Program, name: str) -> Path:
        """A fresh copy of the program, without the truth about it."""
        target = self.folder / program.id / name
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(program.folder, target, ignore=shutil.ignore_patterns("truth.json", "__pycache__"))
        return target

    def run(self, command: list[str], cwd: Path, limit: float = LIMIT, tools: bool = True) -> Ended:
        """The command with this interpreter; its children end with it."""
        paths = [str(self.tools)] if tools else []
        environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": os.pathsep.join(paths)}
        log = cwd / ".output"
        with log.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, *command],
                cwd=cwd,
                env=environment,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            code, cpu = _wait(process, limit)
        text = log.read_text(errors="replace")
        log.unlink()
        return Ended(code, cpu, text)

    def hook(self, name: str, program: Program, *, finished: bool) -> tuple[dict[str, Any], float]:
        """The program run unchanged under `hooks/NAME.py`, what the hook wrote, and the CPU seconds.

        Raises NotRunError where it wrote nothing, or where the program must finish for the peer and did not.
        """
        folder = self.copy(program, name)
        result = folder.parent / f"{name}.json"
        result.unlink(missing_ok=True)
        ended = self.run([str(HERE / "hooks" / "launch.py"), name, str(result), "train.py"], folder)
        if ended.code is None and finished:
            raise NotRunError(f"the program did not end within {LIMIT:.0f} s")
        if not result.is_file():
            last = ended.output.strip().splitlines()[-1:] or ["no output"]
            raise NotRunError(f"the program ended before the tool could be called: {last[0][:120]}")
        return json.loads(result.read_text()), ended.cpu

    def recording(self, program: Program) -> tuple[Path, str, float]:
        """The case that `cognate run` wrote, what the program printed, and the CPU seconds. Made once, for all who read it."""
        folder = self.folder / program.id
        case, log, facts = folder / "case", folder / "train.log", folder / "recording.json"
        if not facts.is_file():
            shutil.rmtree(case, ignore_errors=True)
            cwd = self.copy(program, "recorded")
            # The budget of observation is lifted: the rule sets shall have each step's figures, as a hook of their own would.
            options = ["--no-probe", "-q", "--budget", "100", "-o", str(folder / "ignored.txt"), "--case", str(case)]
            ended = self.run(["-m", "cognate", "run", *options, "train.py"], cwd, tools=False)
            log.write_text(ended.output)
            facts.write_text(json.dumps({"cpu": ended.cpu, "ended": ended.code is not None}))
        read = json.loads(facts.read_text())
        if not read["ended"]:
            raise NotRunError(f"the program did not end within {LIMIT:.0f} s")
        return case, log.read_text(errors="replace"), float(read["cpu"])


def _wait(process: subprocess.Popen[bytes], limit: float) -> tuple[int | None, float]:
    """The exit code, None past the limit, and the CPU seconds of the process and of the children it waited for."""
    end = time.monotonic() + limit
    timed_out = False
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            break
        if not timed_out and time.monotonic() > end:
            timed_out = True
            os.killpg(process.pid, signal.SIGKILL)
        time.sleep(0.02)
    process.returncode = os.waitstatus_to_exitcode(status)
    try:
        os.killpg(process.pid, signal.SIGKILL)  # workers that the program left behind
    except ProcessLookupError:
        pass
    return None if timed_out else process.returncode, usage.ru_utime + usage.ru_stime


def load(corpus: Path) -> dict[str, Program]:
    """The programs of a folder that `benchmarks.corpus.materialise` wrote, by id."""
    truths: dict[str, dict[str, Any]] = {}
    if (corpus / "truth.json").is_file():
        truths = json.loads((corpus / "truth.json").read_text())
    for path in corpus.glob("*/truth.json"):
        truths[path.parent.name] = json.loads(path.read_text())
    programs = {}
    for identity, truth in sorted(truths.items()):
        cause = truth.get("cause")
        healthy = bool(truth.get("healthy", cause is None))
        accepted = frozenset() if healthy else frozenset([cause, *truth.get("alternatives", ())])
        programs[identity] = Program(identity, corpus / identity, healthy, accepted, truth.get("base") or identity)
    return programs
