"""Runs one program as a user would, by `cognate run` in a process and a copy of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cognate
from cognate.bench.cache import Cache, Ended, Observed
from cognate.bench.corpus import Program
from cognate.case.store import read_json
from cognate.errors import CaseError

ROOT = Path(cognate.__file__).parent.parent
# The command as an installed one starts it: the program's folder is not on the path of Cognate itself, where a
# `datasets.py` or `types.py` of the program would take the place of what Cognate imports.
COGNATE = f"import sys; sys.path[0] = {str(ROOT)!r}; from cognate.cli.main import run; run()"
# One core, no accelerator, no network: what makes a run the same elsewhere.
SURROUNDINGS = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONUTF8": "1",
    "NO_COLOR": "1",
}
TAIL = 2000
POLL_SECONDS = 0.05
GRACE_SECONDS = 10  # what Cognate gets to complete the case of a program that was ended


class Runner:
    """Observes programs, each at most `limit` seconds; `stop` ends those that are running."""

    def __init__(self, cache: Cache, limit: float, probe_seconds: float) -> None:
        self._cache, self._limit, self._probe_seconds = cache, limit, probe_seconds
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self.stopped = False

    def observe(self, program: Program) -> Observed:
        """Run `program` and remember the case and the diagnosis; nothing is remembered where `stop` came in between."""
        with tempfile.TemporaryDirectory(prefix="run-", dir=self._cache.work, ignore_cleanup_errors=True) as name:
            folder = Path(name).resolve()
            copied(program, folder / "program")
            # Settings are looked for upwards: an empty file ends the search, so that the user's own do not judge here.
            (folder / "cognate.toml").touch()
            case, diagnosis = folder / "case", folder / "diagnosis.json"
            begun = time.monotonic()
            code, cpu = self._run(self._command(program, case, diagnosis), folder / "program", folder / "printed.txt")
            seconds = round(time.monotonic() - begun, 2)
            tail = (folder / "printed.txt").read_bytes()[-TAIL:].decode("utf-8", "replace")
            run = Observed(_ended(code, case), code, seconds, cpu or seconds, tail)
            if not self.stopped:
                self._cache.keep(program, run, case, diagnosis)
        return run

    def _command(self, program: Program, case: Path, diagnosis: Path) -> list[str]:
        options = ["--case", str(case), "--format", "json", "-o", str(diagnosis), "--quiet"]
        options += ["--probe-seconds", str(self._probe_seconds)]
        return [sys.executable, "-c", COGNATE, "run", *options, program.script, *program.args]

    def _run(self, command: list[str], folder: Path, printed: Path) -> tuple[int | None, float]:
        """The exit code, or None where the time ran out, and the processor seconds, or 0 where they are unknown."""
        environment = {**os.environ, **SURROUNDINGS}
        with printed.open("wb") as stream, self._lock:
            if self.stopped:
                return None, 0.0
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C at the bench reaches the bench alone, which then ends the group
            )
            self._running.add(process)
        try:
            cpu = _wait(process, self._limit)
            code = process.returncode
            if code is None:
                process.terminate()
                cpu = _wait(process, GRACE_SECONDS)
            return code, cpu
        finally:
            _kill(process)
            process.wait()
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """End what is running and remember nothing more."""
        with self._lock:
            self.stopped = True
            for process in self._running:
                _kill(process)


def _wait(process: subprocess.Popen[bytes], limit: float) -> float:
    """Wait until `process` has ended, at most `limit` seconds; its processor seconds and those of its children."""
    if not hasattr(os, "wait4"):
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(limit)
        return 0.0
    until = time.monotonic() + limit
    while time.monotonic() < until:
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            process.returncode = os.waitstatus_to_exitcode(status)
            return round(usage.ru_utime + usage.ru_stime, 2)
        time.sleep(POLL_SECONDS)
    return 0.0


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the whole group, also workers that outlived the program."""
    with contextlib.suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def copied(program: Program, folder: Path) -> None:
    """The program's files, and nothing that tells the truth about it, in `folder`."""
    for name, content in program.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        shutil.copymode(program.folder / name, path)


def _ended(code: int | None, case: Path) -> Ended:
    if code is None:
        return "timed out"
    try:
        info = read_json(case / "case.json")
        steps = info["integrity"]["steps_seen"]
    except (CaseError, KeyError, TypeError):
        return "not observed"
    if code:
        return "crashed"
    return "ok" if steps or info["integrity"].get("finished") else "not observed"
