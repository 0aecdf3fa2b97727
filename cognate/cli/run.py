"""`cognate run`: run a script exactly as Python would, observe it, diagnose at exit."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperCommand

from cognate.cli.common import (
    Format,
    FormatOption,
    OutputOption,
    QuietOption,
    VerboseOption,
    check_script,
    deliver,
    examples,
    judge,
)
from cognate.cli.doctor import fresh
from cognate.errors import CognateError, UsageError

if TYPE_CHECKING:
    from cognate.diagnosis.model import Diagnosis
    from cognate.settings import Settings


class _PythonLike(TyperCommand):
    """Parses as Python does: everything after SCRIPT, or after `-m MODULE`, belongs to the script."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        valued = {name for option in self.params for name in option.opts if not getattr(option, "is_flag", True)}
        return super().parse_args(ctx, end_options(args, valued))


def end_options(args: list[str], valued: set[str]) -> list[str]:
    """`args` with a `--` behind `-m MODULE`; `valued` are the options that take the word after them."""
    at = 0
    while at < len(args) and args[at].startswith("-") and args[at] != "--":
        word = args[at]
        at += 2 if word in valued else 1
        if word in ("-m", "--module") or (word.startswith("-m") and not word.startswith("--")):
            return [*args[:at], "--", *args[at:]]
        if word.startswith("--module="):
            return [*args[:at], "--", *args[at:]]
    return args


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "run",
        cls=_PythonLike,
        context_settings={"allow_interspersed_args": False},
        epilog=examples(
            "cognate run train.py --epochs 3",
            "cognate run --no-probe --case runs/first train.py",
            "cognate run -m package.train --lr 1e-3",
            "cognate run -- torchrun --nproc-per-node 2 train.py",
            "cognate run --gate --format markdown -o status.md train.py",
        ),
    )(run)


def run(
    command: Annotated[
        list[str] | None, typer.Argument(metavar="SCRIPT [ARGS]", help="The script, and everything that is its own.")
    ] = None,
    module: Annotated[
        str | None, typer.Option("-m", "--module", metavar="MODULE", help="Run a module, as `python -m MODULE` does.")
    ] = None,
    probe: Annotated[bool, typer.Option(help="Experiments on copies in the first steps.")] = True,
    probe_seconds: Annotated[float, typer.Option(min=0, help="Time that the experiments may take.")] = 5.0,
    budget: Annotated[float, typer.Option(min=0, help="Percent of step time that observing may take.")] = 1.0,
    case: Annotated[
        Path | None, typer.Option("--case", metavar="DIR", help="Where to write the case; default: runs/SCRIPT-TIME.")
    ] = None,
    python: Annotated[
        str | None, typer.Option("--python", metavar="PATH", help="The interpreter that runs it; default: this one.")
    ] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Exit with the verdict of `cognate gate`.")] = False,
    style: FormatOption = Format.TERMINAL,
    output: OutputOption = None,
    quiet: QuietOption = False,
    verbose: VerboseOption = False,
) -> None:
    """Run a script unchanged, observe it, say what is wrong and the fix.

    The script's stdout and exit code stay its own; the diagnosis goes to stderr, or into -o FILE.
    """
    words = command or []
    if module is None and not words:
        raise UsageError("Nothing to run: name a script (`cognate run train.py`) or a module (`cognate run -m train`).")
    from cognate.observe.live.merge import as_launcher

    if module is None and (launcher := as_launcher(words)) is not None:
        module, words = launcher
    if module is None:
        check_script(Path(words[0]))
    folder = fresh(case) if case else new_case((module or Path(words[0]).stem), Path("runs"))
    code = _observed(words, module, folder, python or sys.executable, probe, probe_seconds, budget)
    verdict = diagnosed(folder, gate, style, output, quiet, verbose)
    if gate:
        raise typer.Exit(verdict)
    end_like(code)


def _observed(
    words: list[str], module: str | None, folder: Path, python: str, probe: bool, probe_seconds: float, budget: float
) -> int:
    from cognate.observe.live.launch import observe

    try:
        return observe(
            script=None if module is not None else words[0],
            module=module,
            args=words if module is not None else words[1:],
            case=folder,
            python=python,
            probe=probe,
            probe_seconds=probe_seconds,
            budget=budget,
        )
    except CognateError:
        # Nothing was started: an empty case would only be in the way.
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
        raise


def new_case(name: str, root: Path) -> Path:
    """A new folder `root`/NAME-TIME, unique also where two runs start within a second."""
    stem = f"{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}-{time.strftime('%Y%m%d-%H%M%S')}"
    for number in range(1, 1000):
        folder = root / (stem if number == 1 else f"{stem}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise UsageError(f"{folder} cannot be made ({error.strerror}): name another folder by --case.") from error
        return folder
    raise UsageError(f"{root} already holds a thousand cases of this second: name one by --case.")


def diagnosed(folder: Path, gate: bool, style: Format, output: Path | None, quiet: bool, verbose: bool) -> int:
    """Diagnose and show; return the gate's exit code.

    What goes wrong here is one line: the run itself is over and safe.
    """
    try:
        from cognate.case.case import Case

        diagnosis, settings = judge(Case.open(folder))
        if not quiet or output is not None:
            deliver(diagnosis, style, output, sys.stderr, verbose)
        return _verdict(diagnosis, settings, quiet) if gate else 0
    except CognateError as error:
        print(f"cognate: no diagnosis: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        print(f"cognate: no diagnosis, Cognate failed: {type(error).__name__}: {error} (case: {folder})", file=sys.stderr)
        return 3


def _verdict(diagnosis: Diagnosis, settings: Settings, quiet: bool) -> int:
    from cognate.cli.gate import summary
    from cognate.cli.judging import verdict_on

    verdict = verdict_on(diagnosis, settings)
    if not quiet:
        print(summary(diagnosis, verdict), file=sys.stderr)
    return verdict.exit_code


def end_like(code: int) -> None:
    """End this process as the script's ended: with its exit code, or by the signal that killed it."""
    if code >= 0:
        raise typer.Exit(code)
    sys.stdout.flush()
    sys.stderr.flush()
    if os.name == "posix":
        try:
            signal.signal(-code, signal.SIG_DFL)
        except (OSError, ValueError):
            pass  # SIGKILL and SIGSTOP have no handler to reset
        os.kill(os.getpid(), -code)
    raise typer.Exit(128 - code)
