"""The environment as one command will see it: its `sys.path`, why each import resolves as it does, what is broken.

Standard library only. One process of the examined interpreter is started, isolated and without `site`; nothing of the
user's is imported, run or written.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cognate
from cognate.case.formats import SCHEMA
from cognate.case.store import write_json
from cognate.errors import UsageError
from cognate.observe.environment import nearby, syspath
from cognate.observe.environment.caches import Caches
from cognate.observe.environment.conflicts import Conflicts
from cognate.observe.environment.distributions import Distributions, Installed
from cognate.observe.environment.encodings import Encodings
from cognate.observe.environment.integrity import Integrity
from cognate.observe.environment.interpreter import Interpreter, InterpreterFault, ask
from cognate.observe.environment.machine import Machine
from cognate.observe.environment.reach import Reach
from cognate.observe.environment.redact import redact, variables
from cognate.observe.environment.rows import Rows
from cognate.observe.environment.surroundings import Surroundings
from cognate.observe.environment.syspath import Command, Entry
from cognate.observe.environment.trace import Tracer
from cognate.observe.environment.troubles import Troubles
from cognate.observe.environment.uses import uses
from cognate.observe.environment.views import views
from cognate.observe.environment.words import Request
from cognate.observe.source import PathEdit, snapshot

if TYPE_CHECKING:
    from cognate.case.schema import CaseInfo, EnvironmentInfo

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
    request: Request | None = None,
    machine: Machine | None = None,
) -> EnvironmentInfo:
    """Return the environment of `PY [-flags] SCRIPT` or `PY -m MODULE` run in `cwd`, as environment.json holds it.

    With neither script nor module it describes the interpreter and the path of an interactive session in `cwd`.
    `request` stands for all of these where a whole command line was read. `environ` stands for the variables of the
    user's shell: evidence of what the command would see, obeyed by nothing here. An interpreter that does not work is
    evidence too. Raises UsageError where the script or the interpreter does not exist.
    """
    if request is None:
        cwd = Path(os.path.abspath(cwd or Path.cwd()))
        request = Request(Command(cwd, script, module, flags), environ=os.environ if environ is None else environ)
    command, environ = request.command, request.environ
    if command.script is not None and not (command.cwd / command.script).exists():
        raise UsageError(f"There is no {command.script}: give the path of the script to examine.")
    if request.problem is not None:
        return _not_started(request, request.problem)
    try:
        interpreter = ask(python or request.python, environ, "" if python else request.chosen_by)
    except InterpreterFault as fault:
        return _not_started(request, fault.facts)
    dead: list[tuple[str, str]] = []
    path = syspath.compute(interpreter, command, environ, dead)
    tracer = Tracer(interpreter, path, command, environ)
    if command.module is not None and tracer.entry() is None:
        raise UsageError(f"There is no module {command.module} on the path of {interpreter.executable}: check the name.")
    tracer.run()
    return _information(tracer, path, environ, dead, machine or Machine.here(command.cwd))


def _not_started(request: Request, facts: Mapping[str, str]) -> EnvironmentInfo:
    """What can be told of a command whose interpreter does not work."""
    command = request.command
    executable = facts.get("executable") or request.python or ""
    words = [executable, *([str(command.script)] if command.script else ["-m", command.module] if command.module else [])]
    return {
        "python": {"executable": executable, "chosen_by": facts.get("chosen_by") or request.chosen_by, "version": ""},
        "command": words,
        "cwd": str(command.cwd),
        "startup": [dict(facts)],
        "variables": variables(request.environ),
        "interpreters": nearby.interpreters(command.cwd, command.cwd, command.cwd, facts.get("prefix", ""), request.environ),
        "imports": [], "path": [], "distributions": [], "troubles": [], "packages": {}, "sources": [], "unparsed": [],
        "surroundings": [],
    }  # fmt: skip


def _information(
    tracer: Tracer, path: list[Entry], environ: Mapping[str, str], dead: list[tuple[str, str]], machine: Machine
) -> EnvironmentInfo:
    interpreter, command = tracer.interpreter, tracer.command
    distributions = Distributions(
        entry.path for entry in tracer.path if entry.origin not in ("stdlib", "script", "cwd", "editable-hook")
    )
    entry = tracer.entry()
    folder = entry.parent if entry is not None else command.cwd
    project = nearby.project(folder, command.cwd)
    root = Path(project["root"])
    others = nearby.interpreters(folder, root, command.cwd, interpreter.prefix, environ)
    reach = Reach(tracer.files, tests=command.tests is not None)
    rows = Rows(tracer, distributions, project, others, reach)
    imports = rows.all()
    used = {name: item for name in rows.external() if (item := rows.provider(name)) is not None}
    tops = frozenset(traced.item.top for traced in tracer.traced if not traced.item.level)
    missing = frozenset(traced.item.top for traced in tracer.traced if traced.status == "missing" and not traced.item.level)
    conflicts = Conflicts(distributions, used, interpreter, root, folder)
    asked = uses(tracer.files, reach)
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
        "views": views(imports, rows, tracer, others),
        "dead_paths": [{"path": folder, "by": place} for folder, place in dead],
        "path_edits": [_edit(edit) for edit in tracer.edits],
        "troubles": [
            *Troubles(distributions, used, tops, tracer.path, tracer.finder, conflicts.markers).all(),
            *Integrity(distributions, used, interpreter, dead, missing).all(),
            *conflicts.all(),
        ],
        "startup": [{"kind": "customize", **item} for item in tracer.customized if "does" in item],
        "surroundings": [
            *Surroundings(interpreter, command, environ, asked, used, tops, distributions, machine, missing).all(),
            *Caches(command.cwd, environ, asked, tops).all(),
            *Encodings(interpreter, command, environ, tracer.files, asked).all(),
            *({"kind": "metadata-read", **use} for use in asked.metadata if distributions.named(use["name"]) is None),
        ],
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
        "libc": interpreter.libc,
        "prefix": interpreter.prefix,
        "base_prefix": interpreter.base_prefix,
        "venv": interpreter.venv is not None,
    }


def _words(command: Command, interpreter: Interpreter) -> list[str]:
    words = [interpreter.executable, *([f"-{command.flags}"] if command.flags else [])]
    if command.script is not None:
        return [*words, str(command.script)]
    if command.code is not None:
        return [*words, "-c", command.code]
    if command.tests is not None:
        return [*words, "-m", "pytest", str(command.tests)]
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
    request: Request,
    python: str | None = None,
    errors: list[dict[str, Any]] | None = None,
    machine: Machine | None = None,
) -> None:
    """Write case.json, environment.json and source/ of the command that `request` describes into the folder `case`.

    `python` overrides the interpreter, `errors` is what a log told. Raises UsageError where the script or the
    interpreter does not exist.
    """
    started = datetime.now(timezone.utc)
    environment = describe(request=request, python=python, machine=machine)
    if errors:
        environment["errors"] = errors
    case.mkdir(parents=True, exist_ok=True)
    command = request.command
    subject = next((str(i) for i in (command.script, command.module, command.tests, command.code) if i is not None), None)
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
        base = files[0].parent if command.module is None else Path(environment["cwd"])
        snapshot(None, case, base, [file for file in files if file.is_file()])
    write_json(case / "environment.json", environment)
    write_json(case / "case.json", info)
