"""The environment as one command will see it: its `sys.path`, why each import resolves as it does, what is broken.

Standard library only. One process of the examined interpreter is started, isolated and without `site`; nothing of the
user's is imported, run or written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import cognate
from cognate.case.schema import SCHEMA, CaseInfo, EnvironmentInfo
from cognate.case.store import write_json
from cognate.errors import UsageError
from cognate.observe.environment import nearby, syspath
from cognate.observe.environment.distributions import Distributions, Installed
from cognate.observe.environment.interpreter import Interpreter, ask
from cognate.observe.environment.redact import redact, variables
from cognate.observe.environment.rows import Rows
from cognate.observe.environment.syspath import Command, Entry
from cognate.observe.environment.trace import Tracer
from cognate.observe.environment.troubles import Troubles
from cognate.observe.source import PathEdit, snapshot

__all__ = ["describe", "examine"]

# Distributions whose versions a reader of any training report asks for, imported by the script or not.
ALWAYS_TOLD = ("torch", "numpy", "transformers", "datasets", "lightning", "accelerate")


def describe(
    *,
    script: Path | None = None,
    module: str | None = None,
    python: str | None = None,
    cwd: Path | None = None,
    flags: str = "",
    environ: Mapping[str, str] | None = None,
) -> EnvironmentInfo:
    """Return the environment of `PY [-flags] SCRIPT` or `PY -m MODULE` run in `cwd`, as environment.json holds it.

    With neither script nor module it describes the interpreter and the path of an interactive session in `cwd`.
    `environ` stands for the variables of the user's shell: evidence of what the command would see, obeyed by nothing
    here. Raises UsageError where the script does not exist or the interpreter does not answer.
    """
    environ = os.environ if environ is None else environ
    cwd = Path(os.path.abspath(cwd or Path.cwd()))
    if script is not None and not (cwd / script).exists():
        raise UsageError(f"There is no {script}: give the path of the script to examine.")
    interpreter = ask(python)
    command = Command(cwd, script, module, flags)
    path = syspath.compute(interpreter, command, environ)
    tracer = Tracer(interpreter, path, command)
    if module is not None and tracer.entry() is None:
        raise UsageError(f"There is no module {module} on the path of {interpreter.executable}: check the name.")
    tracer.run()
    return _information(tracer, path, environ)


def _information(tracer: Tracer, path: list[Entry], environ: Mapping[str, str]) -> EnvironmentInfo:
    interpreter, command = tracer.interpreter, tracer.command
    distributions = Distributions(
        entry.path for entry in tracer.path if entry.origin not in ("stdlib", "script", "cwd", "editable-hook")
    )
    entry = tracer.entry()
    folder = entry.parent if entry is not None else command.cwd
    project = nearby.project(folder, command.cwd)
    others = nearby.interpreters(folder, Path(project["root"]), command.cwd, interpreter.prefix, environ)
    rows = Rows(tracer, distributions, project, others)
    imports = rows.all()
    used = {name: item for name in rows.external() if (item := rows.provider(name)) is not None}
    tops = {traced.item.top for traced in tracer.traced if not traced.item.level}
    return {
        "python": _python(interpreter),
        "command": _words(command, interpreter),
        "cwd": str(command.cwd),
        "project": project,
        "path": [
            {"path": item.path, "origin": cast(Any, item.origin), "by": item.by, "exists": os.path.exists(item.path)}
            for item in path
        ],
        "distributions": [_distribution(item) for item in distributions.all],
        "imports": imports,
        "path_edits": [_edit(edit) for edit in tracer.edits],
        "troubles": Troubles(distributions, used, tops, tracer.path, tracer.finder).all(),
        "interpreters": others,
        "variables": variables(environ),
        "packages": _packages(distributions, used),
        "sources": [str(file) for file in tracer.files],
        "unparsed": [str(file) for file in tracer.unparsed],
    }


def _packages(distributions: Distributions, used: Mapping[str, Installed]) -> dict[str, str]:
    told = [item for name in ALWAYS_TOLD if (item := distributions.named(name)) is not None]
    return {item.name: item.version for item in (*used.values(), *told)}


def _python(interpreter: Interpreter) -> dict[str, Any]:
    return {
        "executable": interpreter.executable,
        "chosen_by": interpreter.chosen_by,
        "version": interpreter.version,
        "implementation": interpreter.implementation,
        "platform": interpreter.platform,
        "prefix": interpreter.prefix,
        "base_prefix": interpreter.base_prefix,
        "venv": interpreter.venv is not None,
    }


def _words(command: Command, interpreter: Interpreter) -> list[str]:
    words = [interpreter.executable, *([f"-{command.flags}"] if command.flags else [])]
    if command.script is not None:
        return [*words, str(command.script)]
    return [*words, "-m", command.module] if command.module is not None else words


def _distribution(item: Installed) -> Any:
    return {"name": item.name, "version": item.version, "location": str(item.folder)}


def _edit(edit: PathEdit) -> dict[str, Any]:
    return {
        "file": str(edit.file),
        "line": edit.line,
        "text": redact(edit.text),
        "action": edit.action,
        "values": [*edit.before, *edit.after],
        "known": edit.known,
        **({"function": edit.function} if edit.function else {}),
    }


def examine(
    case: Path,
    *,
    script: Path | None,
    module: str | None,
    python: str | None,
    cwd: Path,
    flags: str = "",
) -> None:
    """Write case.json, environment.json and source/ of the command's environment into the folder `case`.

    Raises UsageError where the script does not exist or the interpreter does not answer.
    """
    started = datetime.now(timezone.utc)
    environment = describe(script=script, module=module, python=python, cwd=cwd, flags=flags)
    case.mkdir(parents=True, exist_ok=True)
    subject = str(script) if script is not None else module
    executable = environment["python"]["executable"]
    info: CaseInfo = {
        "schema": SCHEMA,
        "kind": "environment" if subject is None else "script",
        "origin": "doctor",
        "title": f"{subject} with {executable}" if subject else f"the environment of {executable}",
        "command": environment["command"],
        "cwd": environment["cwd"],
        "python": executable,
        "versions": {"python": environment["python"]["version"], **environment["packages"]},
        "started": started.isoformat(timespec="seconds"),
        "seconds": round((datetime.now(timezone.utc) - started).total_seconds(), 3),
        "cognate": cognate.__version__,
    }
    if subject is not None:
        info["script"] = subject
    files = [Path(file) for file in environment["sources"]]
    if files:
        snapshot(None, case, files[0].parent if module is None else Path(environment["cwd"]), files)
    write_json(case / "environment.json", environment)
    write_json(case / "case.json", info)
