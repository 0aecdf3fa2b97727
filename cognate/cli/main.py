"""The `cognate` command: its verbs, and how errors become one line and an exit code."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import cognate
from cognate.cli import bench, doctor, gate, generate, report, rule, rules, skills
from cognate.cli import run as run_verb
from cognate.cli import train as train_verb
from cognate.errors import CognateError

_WELCOME = """Cognate finds the root cause of a failing training run. The three commands that matter:

  cognate doctor train.py   what is wrong with this script's environment and source, without running it
  cognate run train.py      run the script unchanged, observe it, and say what is wrong and how to repair it
  cognate gate              the verdict on the last run, as an exit code for CI

Every command explains itself: cognate COMMAND --help. All commands: cognate --help.
"""

app = typer.Typer(
    name="cognate",
    help="Find the root cause of a failing training run, prove it by experiment, and gate on it in CI.",
    epilog="\b\nExit codes: 0 fine; 1 the verdict is negative; 2 wrong usage or unreadable input;\n"
    "3 a rule or Cognate itself crashed. `cognate run` returns the script's own code.",
    invoke_without_command=True,
    # Plain help: rich is slow to import, and --help has to be instant.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
doctor.register(app)
run_verb.register(app)
train_verb.register(app)
generate.register(app)
report.register(app)
gate.register(app)
rule.register(app)
rules.register(app)
skills.register(app)
bench.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"cognate {cognate.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    traceback: Annotated[bool, typer.Option("--traceback", help="On an error inside Cognate, show where it happened.")] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(_WELCOME, end="")


def run() -> None:
    """Entry point of the `cognate` command."""
    for stream in (sys.stdout, sys.stderr):
        # A locale without our characters must not turn a diagnosis into a UnicodeEncodeError.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        app()
    except CognateError as error:
        print(f"cognate: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except Exception as error:
        # The last resort: a bug of ours is one line to the user, and a traceback to who asks for it.
        if "--traceback" in sys.argv[1:2]:
            raise
        print(
            f"cognate: {type(error).__name__}: {error}. This is a fault in Cognate; "
            "report with `cognate --traceback` before the same command.",
            file=sys.stderr,
        )
        sys.exit(3)
