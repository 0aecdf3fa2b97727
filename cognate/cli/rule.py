"""`cognate rule`: the manual of one rule."""

from __future__ import annotations

from typing import Annotated

import typer

from cognate.cli.common import OutputOption, examples, find_rule, say, skills_and_settings


def register(app: typer.Typer) -> None:
    """Add the verb to `app`."""
    app.command("rule", epilog=examples("cognate rule future-token-leak", "cognate rule LOSS101", "cognate rule"))(rule)


def rule(
    name: Annotated[str | None, typer.Argument(metavar="NAME|CODE", help="Default: list all.")] = None,
    output: OutputOption = None,
) -> None:
    """Explain a rule.

    What it finds, why that hurts, what it needs, its thresholds and where they come from, and what it says on
    its two examples.
    """
    if name is None:
        from cognate.cli.rules import rules

        rules(output=output)
        return
    from cognate.discovery import all_rules
    from cognate.render.manual import render

    say(render(find_rule(name, all_rules(skills_and_settings()[0]))).rstrip(), output)
