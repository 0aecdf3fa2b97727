"""`cognate doctor`: a diagnosis without running anyone's code. Its options are in `doctor_command`."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cognate.cli.judging import Format, check_script, deliver, existing, judge, verdict_on
from cognate.errors import UsageError

if TYPE_CHECKING:
    from cognate.case.case import Case
    from cognate.gate import Verdict
    from cognate.observe.environment.words import Request


@dataclass(frozen=True)
class Asked:
    """The options of one call, as `doctor_command` explains them; `words` is the command line behind `--`."""

    target: str | None = None
    words: list[str] | None = None
    module: str | None = None
    python: str | None = None
    log: Path | None = None
    case: Path | None = None
    fix: bool = False
    dry_run: bool = False
    yes: bool = False
    undo: bool = False
    bundle: Path | None = None
    columns: list[str] | None = None
    run: str | None = None
    more: tuple[str, ...] = ()  # targets beyond the first
    style: Format = Format.TERMINAL
    output: Path | None = None
    quiet: bool = False
    verbose: bool = False


def doctor(asked: Asked) -> int:
    """Diagnose what `asked` names and return the exit code."""
    # Syntax trees by the hundred make the collector run often; this process ends before it could free anything.
    gc.disable()
    from cognate.case.case import Case

    if asked.undo:
        from cognate.cli.doctor_fix import take_back

        return take_back()
    words, target = asked.words, asked.target
    if words is None and asked.module is None and asked.log is None and _may_be_runs(asked):
        from cognate.cli.doctor_runs import several

        code = several(asked)
        if code is not None:
            return code
    recorded = _recorded(target) if words is None else None
    if recorded is not None:
        return report(Case.open(recorded), str(recorded), asked)
    with tempfile.TemporaryDirectory(prefix="cognate-") as temporary:
        folder = fresh(asked.case) if asked.case is not None else Path(temporary)
        request = _gather(target, words, asked.module, asked.python, asked.log, folder, asked.columns or [])
        shown_as = str(asked.case or target or asked.module or (" ".join(words) if words else Path.cwd()))
        gathered = Case.open(folder)
        if asked.bundle is not None:
            from cognate.cli.doctor_bundle import write_bundle

            write_bundle(asked.bundle, gathered, judge(gathered, shown_as)[0])
        if asked.fix and request is not None:
            from cognate.cli.doctor_fix import repair

            return repair(gathered, request, asked.python, apply=asked.yes and not asked.dry_run)
        return report(gathered, shown_as, asked)


def _may_be_runs(asked: Asked) -> bool:
    """Whether to ask what runs the targets name: not for a script, which is what is examined most."""
    target = asked.target or ""
    return bool(asked.more or asked.run or "://" in target) or (
        target != "" and not target.endswith((".py", ".ipynb", ".sh", ".json"))
    )


def _recorded(target: str | None) -> Path | None:
    """The case folder that `target` names, or None where it names something else."""
    if target is None:
        return None
    path = Path(target.partition("::")[0])
    existing(path)
    folder = path.parent if path.name == "case.json" else path
    return folder if (folder / "case.json").is_file() else None


def fresh(folder: Path) -> Path:
    """`folder`, made where it does not exist. Raises UsageError where it holds a case already."""
    if (folder / "case.json").exists():
        raise UsageError(f"{folder} holds a case already: give --case another folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made ({error.strerror}): give --case another folder.") from error
    return folder


def _gather(
    target: str | None,
    words: list[str] | None,
    module: str | None,
    python: str | None,
    log: Path | None,
    folder: Path,
    columns: list[str],
) -> Request | None:
    """Write evidence about what the command line names into `folder`; return the examined command, None for a foreign run."""
    from cognate.observe.environment import examine
    from cognate.observe.environment.target import is_command, request_of
    from cognate.observe.environment.words import read_line

    cwd = Path.cwd()
    errors: list[dict[str, Any]] = []
    if log is not None:
        from cognate.observe.environment.errors import command_of, read

        errors = read(_text(log))
        script, interpreter = command_of(errors)
        python = python or interpreter
        target = target or (os.path.relpath(script) if script is not None and words is None and module is None else None)
    if words is not None:
        request = read_line(words, cwd, os.environ)
    elif target is not None and not is_command(target, cwd):
        import_log(Path(target), folder, columns)
        return None
    else:
        if target is not None and target.endswith(".py"):
            check_script(Path(target))
        request = request_of(target, cwd, os.environ, module)
    examine(folder, request=request, python=python, errors=errors)
    return request


def import_log(path: Path, folder: Path, columns: list[str], run: str | None = None) -> None:
    """Write the run that another tool logged at `path` into `folder`; `run` names one of several."""
    from cognate.observe.logs import import_run
    from cognate.settings import load_settings

    told = _roles(columns)
    import_run(path, folder, {**load_settings().columns, **told}, told, run)


def _roles(columns: list[str]) -> dict[str, str]:
    """Role: column, from words such as "loss=my_loss". Raises UsageError where they are something else."""
    from cognate.observe.logs.roles import ROLES

    roles = {}
    for pair in columns:
        role, equals, name = pair.partition("=")
        if role.strip() not in ROLES or not equals or not name.strip():
            raise UsageError(
                f"--columns {pair!r} is not ROLE=NAME with a role among {', '.join(ROLES)}; say --columns loss=my_loss."
            )
        roles[role.strip()] = name.strip()
    return roles


def _text(log: Path) -> str:
    if str(log) == "-":
        return sys.stdin.read()
    try:
        return existing(log).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{log} cannot be read ({error.strerror}): check the path.") from error


def report(case: Case, shown_as: str, asked: Asked) -> int:
    """Print the diagnosis of `case` and return the exit code."""
    diagnosis, settings = judge(case, shown_as)
    if not asked.quiet or asked.output is not None:
        deliver(diagnosis, asked.style, asked.output, sys.stdout, asked.verbose)
    return exit_code(verdict_on(diagnosis, settings))


def exit_code(verdict: Verdict) -> int:
    """The exit code of doctor, which looks at what there is: too little evidence is an honest answer here, and no failure."""
    from cognate.gate import CRASHED, FINE, NEGATIVE

    return verdict.exit_code if verdict.exit_code in (NEGATIVE, CRASHED) else FINE
