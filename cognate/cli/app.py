"""The typer application: every verb of `cognate`."""

from __future__ import annotations

from typing import Annotated

import typer

import cognate
from cognate.cli import bench, doctor_command, gate, generate, report, rule, rules, skills
from cognate.cli import run as run_verb
from cognate.cli import train as train_verb

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
doctor_command.register(app)
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
