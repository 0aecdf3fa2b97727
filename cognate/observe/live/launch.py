"""The parent's side of `cognate run`: start the script as `python SCRIPT` would, wait, complete the case."""

from __future__ import annotations

import datetime
import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cognate.case.store import read_json, write_json
from cognate.errors import CognateError, UsageError
from cognate.observe.live.merge import launched, merge_ranks
from cognate.version import __version__

SCHEMA = "cognate.case/1"
SITE = Path(__file__).parent / "_site"


def observe(
    *,
    script: str | None,
    module: str | None,
    args: list[str],
    case: Path,
    python: str = sys.executable,
    probe: bool = True,
    probe_seconds: float = 5.0,
    budget: float = 1.0,
    program: Sequence[Path] = (),
) -> int:
    """Run `python SCRIPT ARGS` (or `-m MODULE`) with the recorder in it and write the case into folder `case`.

    `program` are folders of an installed package that count as the user's own code, because they are what is run.

    Returns the exit code as `subprocess` gives it: negative where a signal ended the script. Standard input, output and
    error are the script's own. Raises UsageError where the script or the interpreter does not exist.
    """
    if script is not None and not Path(script).is_file():
        raise UsageError(f"There is no script {script}: check the path, or use -m for a module.")
    if shutil.which(python) is None:
        raise UsageError(f"There is no interpreter {python}: give --python the path of a python executable.")
    case.mkdir(parents=True, exist_ok=True)
    command = [python, "-m", module, *args] if module else [python, str(script), *args]
    target = launched(module, args)
    if target is not None:  # what is judged is what the launcher starts
        script, module = (target, None) if target.endswith(".py") else (None, target)
    info = _describe(command, script, module, case)
    write_json(case / "case.json", info)
    trouble = _surroundings(case, script, module, python)
    begun = time.monotonic()
    environment = _environment(script, case, probe, probe_seconds, budget, program)
    if target is not None:
        environment["COGNATE_OPTIONS"] += f"\nlauncher={target}"
    code = run_process(command, environment)
    try:
        _complete(case, info, code, time.monotonic() - begun, trouble)
    except (OSError, CognateError) as error:  # the run is over, and its exit code must come through
        sys.stderr.write(f"cognate: the case in {case} was not completed ({type(error).__name__}: {error})\n")
    return code


def _surroundings(case: Path, script: str | None, module: str | None, python: str) -> str | None:
    """Write environment.json and source/ as they are before the run; what went wrong with that, or None."""
    from cognate.observe.environment import describe
    from cognate.observe.source import snapshot

    try:
        path = Path(script) if script else None
        environment = describe(script=path, module=module, python=python, cwd=Path.cwd())
        write_json(case / "environment.json", environment)
        files = [Path(file) for file in environment.get("sources", ())]
        snapshot(None, case, Path(script).resolve().parent if script else Path.cwd(), files)
    except Exception as error:  # the run matters more than its surroundings
        return f"the environment was not recorded ({type(error).__name__}: {error})"
    return None


def _environment(
    script: str | None, case: Path, probe: bool, probe_seconds: float, budget: float, program: Sequence[Path]
) -> dict[str, str]:
    environment = dict(os.environ)
    before = environment.get("PYTHONPATH")
    if before is not None:
        environment["COGNATE_PYTHONPATH"] = before
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(SITE), before]))
    roots = [str(Path(script).resolve().parent)] if script else []
    roots.append(str(Path.cwd()))
    options = {
        "probe": "1" if probe else "0",
        "probe_seconds": probe_seconds,
        "budget": budget,
        "roots": "|".join(roots),
        "program": "|".join(map(str, program)),
    }
    environment["COGNATE_CASE"] = str(case.resolve())
    environment["COGNATE_OPTIONS"] = "\n".join(f"{key}={value}" for key, value in options.items())
    return environment


def run_process(command: list[str], environment: dict[str, str]) -> int:
    """Start `command` and wait; signals that reach us are passed on, those of the terminal reach the script by itself."""
    child = subprocess.Popen(command, env=environment)
    previous: dict[int, Any] = {}

    def forward(number: int, frame: Any) -> None:
        child.send_signal(number)

    previous[signal.SIGINT] = signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
        if hasattr(signal, name):
            number = getattr(signal, name)
            previous[number] = signal.signal(number, forward)
    try:
        return child.wait()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _describe(command: list[str], script: str | None, module: str | None, case: Path) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "kind": "run",
        "origin": "live",
        "title": script or f"-m {module}",
        "script": script,
        "command": command,
        "cwd": str(Path.cwd()),
        "python": command[0],
        "started": _now(),
        "git": _git(Path(script).resolve().parent if script else Path.cwd()),
        "host": {"system": platform.system(), "machine": platform.machine(), "cpus": os.cpu_count()},
        "cognate": __version__,
    }


def _complete(case: Path, info: dict[str, Any], code: int, seconds: float, trouble: str | None) -> None:
    """Merge what the child wrote about its own end; a child that was killed wrote nothing, and that is said."""
    ending = case / "recorder.json"
    if ending.is_file():
        info.update(read_json(ending))
        ending.unlink()
    else:
        steps = _last_step(case)
        reason = "the process ended before the recorder could finish"
        info["integrity"] = {"finished": False, "steps_seen": steps, "errors": [reason]}
    merge_ranks(case, info)
    if trouble:
        info["integrity"].setdefault("errors", []).append(trouble)
    info["ended"], info["seconds"] = _now(), round(seconds, 3)
    info["exit"] = {"code": code if code >= 0 else None, "signal": _signal_name(code)}
    write_json(case / "case.json", info)


def _last_step(case: Path) -> int:
    from cognate.case.store import read_rows

    return max((int(row.get("step", -1)) + 1 for row in read_rows(case / "metrics.jsonl")), default=0)


def _signal_name(code: int) -> str | None:
    if code >= 0:
        return None
    try:
        return signal.Signals(-code).name
    except ValueError:
        return str(-code)


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")


def _git(folder: Path) -> dict[str, Any]:
    """Commit and whether there are uncommitted changes; empty where git or a repository is missing."""
    found = {}
    for key, words in (("commit", ["rev-parse", "HEAD"]), ("changes", ["status", "--porcelain", "-uno"])):
        try:
            done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=5, check=True)
        except (OSError, subprocess.SubprocessError):
            return {}
        found[key] = done.stdout.strip() if key == "commit" else bool(done.stdout.strip())
    return found
