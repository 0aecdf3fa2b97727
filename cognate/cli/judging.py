"""What several verbs do, with no word about options: loading skills, judging a case, delivering text, checking a path.

Apart from the options, so that a command line that is read without typer does not pay for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from cognate.errors import UsageError

if TYPE_CHECKING:
    from cognate.case.case import Case
    from cognate.diagnosis.model import Diagnosis
    from cognate.discovery import Skill
    from cognate.gate import Verdict
    from cognate.rules.model import Rule
    from cognate.settings import Settings


class Format(str, Enum):
    """How a diagnosis is printed."""

    TERMINAL = "terminal"
    JSON = "json"
    MARKDOWN = "markdown"


def skills_and_settings(kind: str | None = None) -> tuple[tuple[Skill, ...], Settings]:
    """The skills and settings that hold in the working directory, checked against each other.

    With `kind`, the rules that judge cases of that kind are enough, unless the settings name rules.
    """
    from cognate.discovery import all_rules, load_skills
    from cognate.settings import load_settings

    settings = load_settings()
    named = settings.select or settings.ignore or settings.rules
    skills = load_skills(settings.skill_folders, None if named else kind)
    settings.verify(all_rules(skills))
    return skills, settings


def judge(case: Case, shown_as: str = "") -> tuple[Diagnosis, Settings]:
    """Diagnose `case`; `shown_as` is the path that the reader knows it by, where its folder is temporary."""
    from cognate.diagnosis import diagnose

    kind = case.info.get("kind", "run")
    skills, settings = skills_and_settings(None if kind == "run" else kind)
    diagnosis = diagnose(case, skills, settings.selection)
    if shown_as:
        diagnosis = replace(diagnosis, subject=replace(diagnosis.subject, path=shown_as))
    return diagnosis, settings


def verdict_on(diagnosis: Diagnosis, settings: Settings, fail_on: str | None = None, baseline: Path | None = None) -> Verdict:
    """The verdict by the settings, as far as the command line does not overrule them."""
    from cognate.gate import judge as by_policy
    from cognate.gate import read_baseline

    file = baseline or settings.baseline
    return by_policy(diagnosis, fail_on or settings.fail_on, read_baseline(file) if file else None)


def rendered(diagnosis: Diagnosis, style: Format, stream: TextIO, verbose: bool = False) -> str:
    """`diagnosis` in the wanted format, fit for `stream`."""
    if style is Format.JSON:
        from cognate.render.json import render as as_json

        return as_json(diagnosis)
    if style is Format.MARKDOWN:
        from cognate.render.markdown import render as as_markdown

        return as_markdown(diagnosis)
    from cognate.render.terminal import render as as_text

    return as_text(diagnosis, stream, verbose)


def deliver(diagnosis: Diagnosis, style: Format, output: Path | None, stream: TextIO, verbose: bool = False) -> None:
    """Print `diagnosis` on `stream`, or write it into `output` and say so on stderr."""
    if output is None:
        stream.write(rendered(diagnosis, style, stream, verbose))
        stream.flush()
        return
    # A file never gets colours or line breaks made for a terminal.
    import io

    write_file(output, rendered(diagnosis, style, io.StringIO(), verbose))
    print(f"{output}: {diagnosis.status}, {diagnosis.reason}", file=sys.stderr)


def say(text: str, output: Path | None = None) -> None:
    """Print `text`, or write it into `output`."""
    if output is None:
        print(text)
    else:
        write_file(output, text + "\n")


def write_file(output: Path, text: str) -> None:
    """Write `text` into `output`, making its folder. Raises UsageError where that cannot be."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written ({error.strerror or error}); give another -o FILE.") from error


def find_rule(word: str, rules: Iterable[Rule]) -> Rule:
    """The rule with the name or code `word`. Raises UsageError with the nearest names where there is none."""
    known = list(rules)
    for rule in known:
        if word.lower() in (rule.name, rule.code.lower()):
            return rule
    import difflib

    names = [word for rule in known for word in (rule.name, rule.code)]
    close = difflib.get_close_matches(word, names, 3) or difflib.get_close_matches(word.upper(), names, 3)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise UsageError(f"There is no rule {word!r}: {hint}`cognate rules` lists them all.")


def existing(path: Path) -> Path:
    """`path`, where it exists. Raises UsageError with the nearest name beside it where it does not."""
    if path.exists():
        return path
    import difflib

    beside = [item.name for item in path.parent.iterdir()] if path.parent.is_dir() else []

    close = difflib.get_close_matches(path.name, beside, 1)
    hint = f"; did you mean {path.parent / close[0]}?" if close else ": check the name and the working directory."
    raise UsageError(f"There is no {path}{hint}")


def check_script(path: Path) -> Path:
    """`path`, where it is a script that can be read. Raises UsageError where it is a folder, empty, or not text."""
    existing(path)
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name the script in it.")
    try:
        head = path.read_bytes()[:65536]
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if not head.strip():
        raise UsageError(f"{path} is empty: there is nothing in it to run or to judge.")
    if b"\0" in head:
        raise UsageError(f"{path} is binary, not a Python script: name the .py file.")
    return path
