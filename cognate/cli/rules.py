"""`cognate rules`: every rule in one table."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognate.cli.common import OutputOption, examples, say, skills_and_settings

if TYPE_CHECKING:
    from cognate.rules.model import Rule


class ListFormat(str, Enum):
    """How a list is printed."""

    TERMINAL = "terminal"
    JSON = "json"


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command("rules", epilog=examples("cognate rules", "cognate rules --format json"))(rules)


def rules(
    style: Annotated[ListFormat, typer.Option("--format", help="How to print the list.")] = ListFormat.TERMINAL,
    output: OutputOption = None,
) -> None:
    """List every rule.

    Code, name, kind, severity, and the fault in one sentence.
    """
    from cognate.discovery import all_rules

    loaded = all_rules(skills_and_settings()[0])
    if style is ListFormat.JSON:
        say(json.dumps([_entry(rule) for rule in loaded], ensure_ascii=False, indent=2), output)
    else:
        say(_table(loaded, sys.stdout.isatty() and output is None), output)


def _table(loaded: list[Rule], wrapped: bool) -> str:
    """One row a rule; unwrapped, so that grep finds what it looks for, unless a person reads it on a terminal."""
    rows = [("code", "name", "kind", "severity", "what")]
    rows += [(rule.code, rule.name, rule.kind.value, rule.severity.value, rule.summary) for rule in loaded]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    indent = sum(widths) + 8
    room = max(shutil.get_terminal_size().columns - indent, 30)
    lines = []
    for row in rows:
        head = "  ".join(word.ljust(width) for word, width in zip(row, widths, strict=False))
        what = textwrap.wrap(row[4], room) if wrapped else [row[4]]
        lines += [f"{head}  {what[0]}", *(" " * indent + piece for piece in what[1:])]
    return "\n".join(lines)


def _entry(rule: Rule) -> dict[str, Any]:
    return {
        "code": rule.code,
        "name": rule.name,
        "kind": rule.kind.value,
        "severity": rule.severity.value,
        "summary": rule.summary,
        "needs": sorted(rule.needs),
        "explains": sorted(rule.explains),
        "subjects": sorted(rule.subjects),
        "core": rule.core,
        "thresholds": {
            name: {"default": threshold.default, "source": threshold.source} for name, threshold in rule.thresholds.items()
        },
    }
