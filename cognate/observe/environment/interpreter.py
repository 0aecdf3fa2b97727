"""Asks the examined interpreter about itself, in a process that user code and PYTHON* variables cannot reach."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
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


def choose(python: str | None) -> tuple[str, str]:
    """Return (path of the interpreter to examine, the words that say why this one). Raises UsageError for none."""
    if python is not None:
        found = shutil.which(python) or (python if Path(python).is_file() else None)
        if found is None:
            raise UsageError(f"There is no interpreter {python}: give --python the path of one.")
        return os.path.abspath(found), "--python"
    if any(folder in Path(sys.prefix).as_posix() for folder in TOOL_FOLDERS):
        found = shutil.which("python") or shutil.which("python3")
        if found:
            return os.path.abspath(found), "`python` on PATH, because Cognate lives in a tool environment of its own"
    return sys.executable, "the interpreter that runs Cognate"


def ask(python: str | None) -> Interpreter:
    """Probe the interpreter `python`. Raises UsageError where it cannot be started or does not answer."""
    executable, chosen_by = choose(python)
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONHOME", "PYTHONPATH")}
    try:
        done = subprocess.run(
            [executable, "-I", "-S", "-B", str(PROBE)],
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        answers = json.loads(done.stdout.decode("ascii", "replace").strip().splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"{executable} did not answer within {TIMEOUT_SECONDS:.0f} s: name another --python.") from error
    except OSError as error:
        raise UsageError(f"{executable} cannot be started ({error.strerror}): give --python a Python ≥ 3.8.") from error
    except (ValueError, IndexError) as error:
        tail = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise UsageError(f"{executable} does not work as a Python ≥ 3.8 ({tail[0]}): repair or recreate it.") from error
    return _interpreter(answers, executable, chosen_by)


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
    )
