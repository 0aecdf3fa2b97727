"""The verb `cognate doctor` and its options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperCommand

from cognate.cli.common import Format, FormatOption, OutputOption, PythonOption, QuietOption, VerboseOption, examples
from cognate.cli.doctor import Asked
from cognate.cli.doctor import doctor as diagnose
from cognate.errors import UsageError

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
            "cognate doctor runs/                    every run in a folder, beside each other; also runs/a runs/b …",
            "cognate doctor mlflow.db --run NAME     one of the runs of a database",
            "cognate doctor log.csv --columns loss=mse   the same, told which column is the loss",
        ),
    )(doctor)


def doctor(
    ctx: typer.Context,
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[TARGET]...",
            help="A script, notebook, pytest node or shell script; a case folder, a log file, a run folder or a folder "
            "of several; s3://, gs://, hf:// with the extra `remote`. Or give the command itself: -- COMMAND LINE.",
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
    run: Annotated[
        str | None, typer.Option("--run", metavar="NAME", help="Which run of a database to judge, where it holds several.")
    ] = None,
    style: FormatOption = Format.TERMINAL,
    output: OutputOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Diagnose without running anyone's code.

    Exit code 1 where a finding is at or above gate.fail-on (default: error), 0 where none is.
    """
    words = ctx.meta.get(COMMAND_LINE)
    if (words is not None or module is not None or log is not None) and (run is not None or len(targets or []) > 1):
        raise UsageError("Several targets and --run are for runs: leave out the command line, -m and --log.")
    asked = Asked(
        targets[0] if targets else None, words, module, python, log, case, fix, dry_run, yes, undo, bundle, columns, run,
        tuple((targets or [])[1:]), style, output, quiet, verbose,
    )  # fmt: skip
    raise typer.Exit(diagnose(asked))
