"""`cognate doctor`: a diagnosis without running anyone's code."""

from __future__ import annotations

import gc
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from cognate.cli.common import (
    Format,
    FormatOption,
    OutputOption,
    PythonOption,
    QuietOption,
    VerboseOption,
    check_script,
    deliver,
    examples,
    existing,
    judge,
)
from cognate.errors import UsageError

if TYPE_CHECKING:
    from cognate.case.case import Case
    from cognate.observe.environment.words import Request

COMMAND_LINE = "cognate.command_line"


class _WithCommandLine(TyperCommand):
    """Keeps what stands behind `--` as it is: it is the command line under examination."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        if "--" in args:
            at = args.index("--")
            ctx.meta[COMMAND_LINE] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "doctor",
        cls=_WithCommandLine,
        epilog=examples(
            "cognate doctor                          this project and interpreter",
            "cognate doctor train.py                 the environment as train.py will see it, and its source",
            "cognate doctor -- python -I train.py    the environment of exactly this command",
            "cognate doctor --log crash.txt          what an error log or a traceback means here",
            "cognate doctor train.py --fix --dry-run what the fix would do, re-checked without doing it",
            "cognate doctor runs/train-x             a case",
            "cognate doctor out/trainer_state.json   a run that another tool logged",
            "cognate doctor log.csv --columns loss=mse   the same, told which column is the loss",
        ),
    )(doctor)


def doctor(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="A script, notebook, pytest node or shell script; a case folder, a log file or a run folder. "
            "Or give the command itself: -- COMMAND LINE.",
        ),
    ] = None,
    module: Annotated[
        str | None, typer.Option("-m", "--module", metavar="MODULE", help="Examine a module, as `python -m MODULE` runs it.")
    ] = None,
    python: PythonOption = None,
    log: Annotated[
        Path | None, typer.Option("--log", metavar="FILE", help="An error log or traceback to explain; - reads stdin.")
    ] = None,
    case: Annotated[
        Path | None,
        typer.Option("--case", metavar="DIR", help="Keep the evidence in DIR; default: a temporary folder."),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Show the commands that cure it; with --yes, run them.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With --fix: change nothing, re-check as if it were done.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do it, then examine again.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Take back the last --fix --yes.")] = False,
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FILE", help="Also write a report for a bug tracker, without secrets.")
    ] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--columns", metavar="ROLE=NAME", help="Which column of a log is what: loss=my_loss. May be given again."),
    ] = None,
    style: FormatOption = Format.TERMINAL,
    output: OutputOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Diagnose without running anyone's code.

    Exit code 1 where a finding is at or above gate.fail-on (default: error), 0 where none is.
    """
    # Syntax trees by the hundred make the collector run often; this process ends before it could free anything.
    gc.disable()
    from cognate.case.case import Case

    if undo:
        from cognate.cli.doctor_fix import take_back

        raise typer.Exit(take_back())
    words = ctx.meta.get(COMMAND_LINE)
    recorded = _recorded(target) if words is None else None
    if recorded is not None:
        raise typer.Exit(_report(Case.open(recorded), str(recorded), style, output, quiet, verbose))
    with tempfile.TemporaryDirectory(prefix="cognate-") as temporary:
        folder = fresh(case) if case is not None else Path(temporary)
        request = _gather(target, words, module, python, log, folder, columns or [])
        shown_as = str(case or target or module or (" ".join(words) if words else Path.cwd()))
        gathered = Case.open(folder)
        if bundle is not None:
            from cognate.cli.doctor_bundle import write_bundle

            write_bundle(bundle, gathered, judge(gathered, shown_as)[0])
        if fix and request is not None:
            from cognate.cli.doctor_fix import repair

            raise typer.Exit(repair(gathered, request, python, apply=yes and not dry_run))
        raise typer.Exit(_report(gathered, shown_as, style, output, quiet, verbose))


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
        from cognate.observe.logs import import_run
        from cognate.settings import load_settings

        told = _roles(columns)
        import_run(Path(target), folder, {**load_settings().columns, **told}, told)
        return None
    else:
        if target is not None and target.endswith(".py"):
            check_script(Path(target))
        request = request_of(target, cwd, os.environ, module)
    examine(folder, request=request, python=python, errors=errors)
    return request


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


def _report(case: Case, shown_as: str, style: Format, output: Path | None, quiet: bool, verbose: bool) -> int:
    from cognate.cli.gate import verdict_on
    from cognate.gate import CRASHED, FINE, NEGATIVE

    diagnosis, settings = judge(case, shown_as)
    if not quiet or output is not None:
        deliver(diagnosis, style, output, sys.stdout, verbose)
    verdict = verdict_on(diagnosis, settings)
    # Doctor looks at what there is: too little evidence is an honest answer here, and no failure.
    return verdict.exit_code if verdict.exit_code in (NEGATIVE, CRASHED) else FINE
