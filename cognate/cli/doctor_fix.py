"""`cognate doctor --fix`: show, simulate or run the commands of the root causes, re-check, and take them back."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cognate.case.case import Case
from cognate.cli.judging import judge
from cognate.errors import UsageError

if TYPE_CHECKING:
    from cognate.diagnosis.model import Diagnosed, Diagnosis
    from cognate.observe.environment.words import Request

PIP_SECONDS = 600


def state() -> Path:
    """Where what was done is remembered: outside of every project."""
    base = os.environ.get("XDG_STATE_HOME")
    return Path(base or Path.home() / ".local" / "state", "cognate", "fixes")


def repair(case: Case, request: Request, python: str | None, apply: bool) -> int:
    """Show what cures the root causes; run it where `apply` is set; re-check. 0 where nothing of it is left."""
    diagnosis, _ = judge(case)
    causes = [item for item in diagnosis.root_causes if item.fix is not None]
    if not causes:
        print(
            "Nothing to fix." if not diagnosis.root_causes else "No command can be computed for what was found; see the report."
        )
        return 1 if diagnosis.root_causes else 0
    done: list[dict[str, Any]] = []
    changed = request
    for item in causes:
        print(f"{item.rule} {item.name}: {item.title}")
        commands = item.fix.commands if item.fix is not None else ()
        for command in commands:
            print(f"  $ {command}")
            step, changed = _step(command, changed)
            done.append(step)
            if step["kind"] == "shell":
                print("    (in your own shell: no child process can do that for you)")
        if not commands:
            print(f"  {item.fix.summary if item.fix else ''} (by hand)")
    if apply:
        _apply(done, request.command.cwd)
    return _recheck(causes, changed, python, done, apply)


def _step(command: str, request: Request) -> tuple[dict[str, Any], Request]:
    """Read one command of a fix: what it does to files or to the shell, and the command line as it would be afterwards."""
    words = shlex.split(command)
    cwd = request.command.cwd
    if words[:2] == ["git", "mv"] or words[:1] == ["mv"]:
        old, new = (str(cwd / word) for word in words[-2:])
        return {"kind": "move", "old": old, "new": new, "git": words[0] == "git"}, request
    if words[:1] == ["rm"]:
        return {"kind": "remove", "old": str(cwd / words[-1])}, request
    if words[0] in ("unset", "export"):
        environ = dict(request.environ)
        for word in words[1:]:
            name, equals, value = word.partition("=")
            environ.pop(name, None)
            if equals:
                environ[name] = value
        return {"kind": "shell", "command": command}, replace(request, environ=environ)
    if words[1:4] in (["-m", "pip", "install"], ["-m", "pip", "uninstall"]):
        return {"kind": "pip", "command": words, "packages": _packages(words)}, request
    if "python" in Path(words[0]).name or "=" in words[0] or words[0] == "cd":
        return {"kind": "shell", "command": command}, _as_command(command, request)
    return {"kind": "run", "command": words}, request


def _as_command(command: str, request: Request) -> Request:
    """The command line that a fix proposes instead of the one under examination."""
    from cognate.observe.environment.words import read_shell

    try:
        return read_shell(command, request.command.cwd, request.environ, request.command.cwd / "fix")
    except UsageError:
        return request


def _packages(words: list[str]) -> list[str]:
    names = [word for word in words[4:] if not word.startswith("-") and "://" not in word]
    return [name for word in names if (name := word.partition("=")[0].partition("<")[0].partition(">")[0].partition("[")[0])]


def _apply(steps: list[dict[str, Any]], cwd: Path) -> None:
    """Do the steps that change files or packages; write down how to take them back before each one."""
    folder = state() / time.strftime("%Y%m%d-%H%M%S")
    folder.mkdir(parents=True, exist_ok=True)
    journal: list[dict[str, Any]] = []
    for number, step in enumerate(steps):
        undo: dict[str, Any] | None = None
        if step["kind"] == "move":
            if os.path.lexists(step["new"]):
                raise UsageError(f"{step['new']} exists already: nothing was renamed.")
            undo = {"move": [step["new"], step["old"]], "git": step["git"]}
            run = ["git", "mv", step["old"], step["new"]] if step["git"] else None
        elif step["kind"] == "remove":
            step["new"] = str(folder / f"{number}-{Path(step['old']).name}")
            undo, run = {"move": [step["new"], step["old"]], "git": False}, None
        elif step["kind"] == "pip":
            undo, run = {"run": _pip_back(step), "git": False}, step["command"]
        elif step["kind"] == "run":
            run = step["command"]
        else:
            continue
        if undo is not None:
            journal.append(undo)
            (folder / "journal.json").write_text(json.dumps({"cwd": str(cwd), "undo": journal}), encoding="utf-8")
        if run is None:
            shutil.move(step["old"], step["new"])
        else:
            _run(run, cwd)
    print("Done. `cognate doctor --undo` takes it back." if journal else "Nothing of it can be done from here.")


def _pip_back(step: dict[str, Any]) -> list[list[str]]:
    """pip commands that bring back the versions which are installed now."""
    python = step["command"][0]
    back = []
    for name in step["packages"]:
        done = subprocess.run([python, "-m", "pip", "show", name], capture_output=True, text=True, timeout=PIP_SECONDS)
        version = next((line.partition(":")[2].strip() for line in done.stdout.splitlines() if line.startswith("Version:")), "")
        words = ["install", f"{name}=={version}"] if version else ["uninstall", "-y", name]
        back.append([python, "-m", "pip", *words])
    return back


def _run(words: list[str], cwd: Path) -> None:
    try:
        done = subprocess.run(words, cwd=cwd, timeout=PIP_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"`{shlex.join(words)}` could not be run ({error}); what was done before it stays done.") from error
    if done.returncode:
        raise UsageError(f"`{shlex.join(words)}` ended with {done.returncode}; what was done before it stays done.")


def _recheck(causes: list[Diagnosed], request: Request, python: str | None, steps: list[dict[str, Any]], applied: bool) -> int:
    """Examine the command again, after the fix or as if it had been made, and say what is left."""
    from cognate.observe.environment import examine
    from cognate.observe.environment.resolve import ABSENT

    if not applied:
        ABSENT.update(step["old"] for step in steps if step["kind"] in ("move", "remove"))
    try:
        with tempfile.TemporaryDirectory(prefix="cognate-") as folder:
            named = None if request.python else python
            examine(Path(folder), request=request, python=named)
            after, _ = judge(Case.open(folder))
    finally:
        ABSENT.clear()
    for line in _verdict(causes, after, [step for step in steps if step["kind"] in ("pip", "run")], applied):
        print(line)
    return 1 if after.root_causes else 0


def _verdict(causes: list[Diagnosed], after: Diagnosis, unproved: list[dict[str, Any]], applied: bool) -> Iterator[str]:
    before = {(item.name, item.title) for item in causes}
    left = {(item.name, item.title) for item in after.root_causes}
    how = "Re-checked" if applied else "Re-checked as if it were done"
    if unproved and not applied:
        yield "What an install or another program changes cannot be told before it is done: --yes does it."
    gone = sorted({name for name, _ in before - left})
    if gone:
        yield f"{how}: {', '.join(gone)} would be gone." if not applied else f"{how}: {', '.join(gone)} gone."
    for name, title in sorted(left):
        yield f"{'still there' if (name, title) in before else 'then'}: {name}: {title}"


def take_back() -> int:
    """Undo the last fix that was applied."""
    folders = sorted(folder for folder in state().glob("*") if (folder / "journal.json").is_file()) if state().is_dir() else []
    if not folders:
        raise UsageError("There is nothing to take back: no `cognate doctor --fix --yes` was made.")
    journal = json.loads((folders[-1] / "journal.json").read_text(encoding="utf-8"))
    for step in reversed(journal["undo"]):
        for words in step.get("run", []):
            _run(words, Path(journal["cwd"]))
        if "move" in step:
            old, new = step["move"]
            if os.path.lexists(new):
                raise UsageError(f"{new} exists again: move {old} back by hand.")
            if step["git"]:
                _run(["git", "mv", old, new], Path(journal["cwd"]))
            else:
                shutil.move(old, new)
            print(f"back: {new}")
    (folders[-1] / "journal.json").rename(folders[-1] / "undone.json")
    return 0
