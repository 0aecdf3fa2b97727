"""`cognate gate`: the verdict for CI."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cognate.cli.common import OutputOption, QuietOption, examples, judge, say, verdict_on
from cognate.errors import CaseError

if TYPE_CHECKING:
    from cognate.diagnosis.model import Diagnosis
    from cognate.gate import Verdict
    from cognate.settings import Settings


class GateFormat(str, Enum):
    """How a verdict is printed."""

    TERMINAL = "terminal"
    JSON = "json"


class FailOn(str, Enum):
    """The level from which a finding fails the gate."""

    ERROR = "error"
    WARNING = "warning"
    NEVER = "never"


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command(
        "gate",
        epilog=examples(
            "cognate gate",
            "cognate gate runs/train-20260102-030405 --fail-on warning",
            'cognate gate --write-baseline --reason "known since May"',
        ),
    )(gate)


def gate(
    case: Annotated[Path | None, typer.Argument(metavar="CASE", help="Default: the newest case in runs/.")] = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Default: gate.fail-on of the settings, or error.")] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Findings accepted so far. Default: gate.baseline of the settings."),
    ] = None,
    write_baseline: Annotated[bool, typer.Option("--write-baseline", help="Accept what is found now, and exit.")] = False,
    reason: Annotated[str, typer.Option(help="With --write-baseline: why it is accepted.")] = "accepted as it was",
    style: Annotated[GateFormat, typer.Option("--format", help="How to print the verdict.")] = GateFormat.TERMINAL,
    output: OutputOption = None,
    quiet: QuietOption = False,
) -> None:
    """Judge a case by the project's policy, as an exit code for CI.

    0 pass, 1 fail, 2 cannot judge (too little evidence), 3 a rule crashed. The policy is [tool.cognate]
    in pyproject.toml.
    """
    from cognate.case.case import Case

    diagnosis, settings = judge(Case.open(case or newest()))
    if write_baseline:
        _accept(diagnosis, settings, baseline, fail_on, reason)
        return
    verdict = verdict_on(diagnosis, settings, fail_on.value if fail_on else None, baseline)
    if style is GateFormat.JSON:
        say(json.dumps(verdict.to_dict(), ensure_ascii=False, indent=2), output)
    elif not quiet or output is not None:
        say(summary(diagnosis, verdict), output)
    raise typer.Exit(verdict.exit_code)


def summary(diagnosis: Diagnosis, verdict: Verdict) -> str:
    """The verdict in a few lines."""
    lines = [f"{verdict.verdict.upper()}: {diagnosis.subject.title}"]
    lines += [f"  {reason}" for reason in verdict.reasons]
    lines += [f"  known: {known}" for known in verdict.known]
    if verdict.failing:
        lines.append(f"  more: cognate doctor {diagnosis.subject.path}")
    return "\n".join(lines)


def newest() -> Path:
    """The newest case in runs/. Raises CaseError where there is none."""
    from cognate.case.case import Case

    cases = [file.parent for file in Path("runs").glob("*/case.json")]
    if not cases:
        raise CaseError("There is no case in runs/: record one with `cognate run SCRIPT`, or name a case folder.")
    return max(cases, key=lambda folder: (str(Case.open(folder).info.get("started", "")), folder.name))


def _accept(diagnosis: Diagnosis, settings: Settings, baseline: Path | None, fail_on: FailOn | None, reason: str) -> None:
    from cognate.gate import read_baseline
    from cognate.gate import write_baseline as write

    file = baseline or settings.baseline or Path("cognate-baseline.json")
    old = read_baseline(file) if file.is_file() else None
    count = write(file, diagnosis, fail_on.value if fail_on else settings.fail_on, reason, old)
    print(f"{file}: {count} finding{'' if count == 1 else 's'} accepted")
    if file not in (baseline, settings.baseline):
        print(f'Keep it in force with gate.baseline = "{file}" under [tool.cognate], or with --baseline {file}.')
