"""`cognate skills`: what is loaded and from where; validate; scaffold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cognate.cli.common import examples
from cognate.errors import UsageError

if TYPE_CHECKING:
    from cognate.discovery import Skill


def register(app: typer.Typer) -> None:
    """Add the verbs to `app`."""
    group = typer.Typer(
        help="Skills: folders of rules in the Agent Skills format.",
        rich_markup_mode=None,
        epilog=examples("cognate skills list", "cognate skills new my-team-checks", "cognate skills check my-team-checks"),
        no_args_is_help=True,
    )
    group.command("list", epilog=examples("cognate skills list"))(list_skills)
    group.command("show", epilog=examples("cognate skills show ml-expert"))(show)
    group.command("check", epilog=examples("cognate skills check", "cognate skills check my-team-checks"))(check)
    group.command("new", epilog=examples("cognate skills new my-team-checks", "cognate skills new my-team-checks --in tools"))(
        new
    )
    app.add_typer(group, name="skills")


def list_skills() -> None:
    """List the skills that are loaded: name, version, rules, origin, folder."""
    for skill in _loaded():
        print(f"{skill.name}  {skill.version}  {len(skill.rules)} rules  {skill.origin}  {skill.path}")


def show(name: Annotated[str, typer.Argument(metavar="NAME", help="A loaded skill.")]) -> None:
    """Show one skill: what it is for, where it lies, its rules."""
    import difflib

    skills = {skill.name: skill for skill in _loaded()}
    if name not in skills:
        close = difflib.get_close_matches(name, skills, 1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"There is no skill {name!r}: {hint}loaded are {', '.join(skills)}.")
    skill = skills[name]
    print(f"{skill.name} {skill.version} ({skill.origin}, {skill.path})\n\n{skill.description}\n")
    for rule in sorted(skill.rules, key=lambda item: item.code):
        print(f"{rule.code}  {rule.name}  {rule.severity.value}  {rule.summary}")


def check(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="FOLDER", help="Skill folders; default: all that are loaded.")
    ] = None,
) -> None:
    """Check that skills are valid and their rules keep their promises.

    Front matter is valid, every rule loads, fires on its faulty example, and stays quiet on its healthy one.
    """
    from cognate.discovery import load_skill
    from cognate.rules.testing import example_problems

    failed = False
    for skill in [load_skill(folder) for folder in folders] if folders else _loaded():
        problems = [error for _, error in skill.broken]
        problems += [problem for rule in skill.rules for problem in example_problems(rule)]
        if not skill.rules:
            problems = [f"{skill.path} holds no rule: add checks/FAMILY/RULE_NAME.py"]
        failed = failed or bool(problems)
        print(
            f"{skill.name}: "
            + (f"{len(problems)} of its rules' promises broken" if problems else f"{len(skill.rules)} rules keep their promises")
        )
        for problem in problems:
            print(f"  {problem}")
    raise typer.Exit(1 if failed else 0)


def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Lowercase words joined by hyphens.")],
    parent: Annotated[Path, typer.Option("--in", metavar="DIR", help="Where to make the folder.")] = Path(),
) -> None:
    """Make a skill with one working rule to change: SKILL.md, checks/FAMILY/RULE.py with both examples."""
    from cognate.cli.scaffold import write_skill

    folder = parent / name
    rule = write_skill(folder, name)
    print(f"{folder}: a skill with one rule, {rule}. Next:")
    print(f"  cognate skills check {folder}")
    print(f'  skills = ["{folder.as_posix()}"]   under [tool.cognate] in pyproject.toml, to put it in force')


def _loaded() -> tuple[Skill, ...]:
    from cognate.cli.common import skills_and_settings

    return skills_and_settings()[0]
