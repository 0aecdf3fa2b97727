"""`cognate doctor`: a diagnosis without running anyone's code."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "doctor",
        epilog=examples(
            "cognate doctor                          this project and interpreter",
            "cognate doctor train.py                 the environment as train.py will see it, and its source",
            "cognate doctor runs/train-x             a case",
            "cognate doctor out/trainer_state.json   a run that another tool logged",
        ),
    )(doctor)


def doctor(
    target: Annotated[
        Path | None, typer.Argument(metavar="TARGET", help="A script, a case folder, a log file or a run folder.")
    ] = None,
    python: PythonOption = None,
    case: Annotated[
        Path | None,
        typer.Option("--case", metavar="DIR", help="Keep the evidence in DIR; default: a temporary folder."),
    ] = None,
    style: FormatOption = Format.TERMINAL,
    output: OutputOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Diagnose without running anyone's code.

    Exit code 1 where a finding is at or above gate.fail-on (default: error), 0 where none is.
    """
    from cognate.case.case import Case

    recorded = _recorded(target)
    if recorded is not None:
        code = _report(Case.open(recorded), str(recorded), style, output, quiet, verbose)
    elif case is not None:
        code = _report(_gathered(target, fresh(case), python), str(case), style, output, quiet, verbose)
    else:
        with tempfile.TemporaryDirectory(prefix="cognate-") as folder:
            gathered = _gathered(target, Path(folder), python)
            code = _report(gathered, str(target or Path.cwd()), style, output, quiet, verbose)
    raise typer.Exit(code)


def _recorded(target: Path | None) -> Path | None:
    """The case folder that `target` names, or None where it names something else."""
    if target is None:
        return None
    existing(target)
    folder = target.parent if target.name == "case.json" else target
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


def _gathered(target: Path | None, folder: Path, python: str | None) -> Case:
    """Evidence about `target`, written into `folder` and opened."""
    from cognate.case.case import Case

    if target is None or target.suffix == ".py":
        script = check_script(target) if target else None
        from cognate.observe.environment import examine

        examine(folder, script=script, module=None, python=python, cwd=Path.cwd())
    else:
        from cognate.observe.logs import import_run

        import_run(target, folder)
    return Case.open(folder)


def _report(case: Case, shown_as: str, style: Format, output: Path | None, quiet: bool, verbose: bool) -> int:
    from cognate.cli.gate import verdict_on
    from cognate.gate import CRASHED, FINE, NEGATIVE

    diagnosis, settings = judge(case, shown_as)
    if not quiet or output is not None:
        deliver(diagnosis, style, output, sys.stdout, verbose)
    verdict = verdict_on(diagnosis, settings)
    # Doctor looks at what there is: too little evidence is an honest answer here, and no failure.
    return verdict.exit_code if verdict.exit_code in (NEGATIVE, CRASHED) else FINE
