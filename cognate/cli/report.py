"""`cognate report`: the status report of one or more cases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cognate.cli.common import OutputOption, QuietOption, examples, judge, write_file
from cognate.errors import UsageError


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "report",
        epilog=examples(
            "cognate report runs/train-20260102-030405",
            "cognate report runs/a runs/b",
            "cognate report runs/a -o status.md",
        ),
    )(report)


def report(
    cases: Annotated[list[Path], typer.Argument(metavar="CASE", help="Folders that `cognate run` wrote.")],
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Write the status report of each CASE as Markdown.

    It says what works, what does not, and what to do, each with its evidence. The default file is
    reports/CASE.md. The same case gives the same bytes.
    """
    from cognate.case.case import Case
    from cognate.render.markdown import render

    if output is not None and len(cases) > 1:
        raise UsageError(f"-o {output} is one file, but {len(cases)} cases were given: leave -o out, or name one case.")
    if output is not None and output.suffix not in (".md", ".markdown", ""):
        raise UsageError(f"A report is Markdown, so {output} should end in .md.")
    for folder in cases:
        diagnosis, _ = judge(Case.open(folder))
        file = output or Path("reports") / f"{folder.resolve().name}.md"
        write_file(file, render(diagnosis))
        if not quiet:
            print(f"{file}: {diagnosis.status}, {diagnosis.reason}")
