"""What several verbs share: the options, and how examples are shown. What they do with them is in `judging`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cognate.cli.judging import (
    Format as Format,
)
from cognate.cli.judging import (
    check_script as check_script,
)
from cognate.cli.judging import (
    deliver as deliver,
)
from cognate.cli.judging import (
    existing as existing,
)
from cognate.cli.judging import (
    find_rule as find_rule,
)
from cognate.cli.judging import (
    judge as judge,
)
from cognate.cli.judging import (
    rendered as rendered,
)
from cognate.cli.judging import (
    say as say,
)
from cognate.cli.judging import (
    skills_and_settings as skills_and_settings,
)
from cognate.cli.judging import (
    verdict_on as verdict_on,
)
from cognate.cli.judging import (
    write_file as write_file,
)

FormatOption = Annotated[Format, typer.Option("--format", help="How to print the result.")]
OutputOption = Annotated[Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write the result into FILE instead.")]
QuietOption = Annotated[bool, typer.Option("-q", "--quiet", help="Print nothing but errors; the exit code tells.")]
VerboseOption = Annotated[bool, typer.Option("-v", "--verbose", help="Also list every check that passed or was not made.")]
PythonOption = Annotated[
    str | None, typer.Option("--python", metavar="PATH", help="The interpreter to use; default: the current one.")
]


def examples(*lines: str) -> str:
    """The examples at the end of a verb's --help."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
