"""Asks the examined interpreter about itself, in a process that user code and PYTHON* variables cannot reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cognate.errors import UsageError

PROBE = Path(__file__).with_name("probe.py")
TIMEOUT_SECONDS = 20.0
# Tools that give every application an environment of its own: nobody trains with the interpreter that lives there.
TOOL_FOLDERS = ("pipx/venvs", "uv/tools")


@dataclass(frozen=True)
class Interpreter:
    """What the probe answered."""

    executable: str
    chosen_by: str
    version: str
    version_info: tuple[int, ...]
    implementation: str
    platform: str
    prefix: str
    base_prefix: str
    venv: dict[str, str] | None
    stdlib: tuple[str, ...]
    stdlib_names: frozenset[str]
    unshadowable: frozenset[str]  # built in, frozen, or imported before any user code
    site: tuple[tuple[str, str], ...]
    extensions: tuple[str, ...]
    machine: str = ""
    libc: str = ""
    magic: str = ""


class InterpreterFault(UsageError):
    """The interpreter is there by name and does not work; `facts` say how, as evidence."""

    def __init__(self, message: str, facts: dict[str, str]) -> None:
        super().__init__(message)
        self.facts = facts


def choose(python: str | None) -> tuple[str, str]:
    """Return (path of the interpreter to examine, the words that say why this one). Raises UsageError for none."""
    if python is not None:
        found = shutil.which(python) or (python if os.path.lexists(python) else None)
        if found is None:
            raise UsageError(f"There is no interpreter {python}: give --python the path of one.")
        return os.path.abspath(found), "--python"
    if any(folder in Path(sys.prefix).as_posix() for folder in TOOL_FOLDERS):
        found = shutil.which("python") or shutil.which("python3")
        if found:
            return os.path.abspath(found), "`python` on PATH, because Cognate lives in a tool environment of its own"
    return sys.executable, "the interpreter that runs Cognate"


def ask(python: str | None, environ: Mapping[str, str] | None = None, chosen_by: str = "") -> Interpreter:
    """Probe the interpreter `python`.

    Raises InterpreterFault where it cannot be started or does not answer, UsageError where there is none.
    """
    executable, reason = choose(python)
    chosen_by = chosen_by or reason
    # What could change or break the answer, or run somebody's code, is kept from the probe.
    kept = {k: v for k, v in (environ or os.environ).items() if not k.startswith(("PYTHON", "LD_PRELOAD"))}
    if (environ or os.environ).get("PYTHONUSERBASE"):
        kept["PYTHONUSERBASE"] = (environ or os.environ)["PYTHONUSERBASE"]
    facts = {"executable": executable, "chosen_by": chosen_by, **_config(executable)}
    if os.path.islink(executable) and not os.path.exists(executable):
        target = os.path.realpath(executable)
        text = f"{executable} points to {target}, which does not exist: recreate the environment."
        raise InterpreterFault(text, {**facts, "kind": "dangling", "target": target})
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-B", str(PROBE)],
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            env=kept,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        text = f"{executable} did not answer within {TIMEOUT_SECONDS:.0f} s: name another --python."
        raise InterpreterFault(text, {**facts, "kind": "silent"}) from error
    except OSError as error:
        text = f"{executable} cannot be started ({error.strerror}): give --python a Python ≥ 3.8."
        raise InterpreterFault(text, {**facts, "kind": "start", "text": str(error.strerror)}) from error
    try:
        answers = json.loads(done.stdout.decode("ascii", "replace").strip().splitlines()[-1])
    except (ValueError, IndexError) as error:
        lines = [line for line in done.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
        # The first line of a fatal error names it; a traceback ends with what it is.
        told = next((line for line in lines if "rror" in line and "Traceback" not in line), "") or (lines or [""])[-1]
        told = told.strip() or f"exit code {done.returncode}"
        if "future feature annotations" in told or told.startswith("Try `python -h'"):
            told = "it is older than Python 3.8"
        text = f"{executable} does not work as a Python ≥ 3.8 ({told}): repair or recreate it."
        raise InterpreterFault(text, {**facts, "kind": "answer", "text": told}) from error
    return _interpreter(answers, executable, chosen_by)


def _config(executable: str) -> dict[str, str]:
    """What pyvenv.cfg says of the environment that the executable stands in."""
    for place in (Path(executable).parent, Path(executable).parent.parent):
        try:
            lines = (place / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:
            continue
        pairs = {key.strip().lower(): value.strip() for key, _, value in (line.partition("=") for line in lines)}
        home = pairs.get("home", "")
        return {"prefix": str(place), "home": home, "home_exists": "yes" if os.path.isdir(home) else "no"}
    return {}


def _interpreter(answers: dict[str, Any], executable: str, chosen_by: str) -> Interpreter:
    # `site` and what it imports are loaded before the first line of user code, whatever lies on the path.
    early = {
        "__main__",
        "site",
        "os",
        "stat",
        "posixpath",
        "genericpath",
        "ntpath",
        "_collections_abc",
        "_sitebuiltins",
    }
    fixed = {name.partition(".")[0] for key in ("builtin", "frozen", "preloaded") for name in answers[key]}
    return Interpreter(
        executable=executable,
        chosen_by=chosen_by,
        version=answers["version"],
        version_info=tuple(answers["version_info"]),
        implementation=answers["implementation"],
        platform=answers["platform"],
        prefix=answers["prefix"],
        base_prefix=answers["base_prefix"],
        venv=answers["venv"],
        stdlib=tuple(answers["stdlib"]),
        stdlib_names=frozenset(answers["stdlib_names"]),
        # Only parts of importlib are frozen: the package itself is found on the path.
        unshadowable=frozenset(fixed | early) - {"importlib"},
        site=tuple((kind, folder) for kind, folder in answers["site"]),
        extensions=tuple(answers["extensions"]),
        machine=answers["machine"],
        libc=answers["libc"],
        magic=answers["magic"],
    )
