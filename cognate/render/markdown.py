"""The status report in Markdown.

Every mark in it comes from an outcome or from what a training run measured, every date from the case: same case, same bytes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from cognate.diagnosis.model import Diagnosed, Diagnosis, Remedy
from cognate.render import words

_TIME = {"minutes": "minutes", "hours": "a few hours", "days": "days"}
_MOST_FIXES = 3
# `code` between single backticks. Longer runs of backticks pair up by length in CommonMark, so they and any single one that is
# left over are escaped, and so is a backslash that would take effect on what follows it.
_CODE = re.compile(r"((?<!`)`(?!`)[^`]+`(?!`))")
_MARKUP = re.compile(r"([*<\[\]`]|\\(?=[!-/:-@\[-`{-~]|$)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


@dataclass(frozen=True)
class Row:
    """One rule's outcome: a line of the test block and of the table."""

    code: str
    name: str
    mark: str
    status: str
    evidence: str

    @property
    def rank(self) -> int:
        """What works comes first, what is unknown last."""
        return (words.PASSED, words.FAILED, words.WARNED, words.NOT_CHECKED).index(self.mark)


@dataclass(frozen=True)
class Option:
    """One way forward."""

    title: str
    steps: tuple[str, ...]
    commands: tuple[str, ...]
    diff: str | None
    time: str
    benefit: str


def render(diagnosis: Diagnosis) -> str:
    """The report as Markdown text."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
        autoescape=False,
    )
    environment.filters.update(prose=prose, cell=cell, fact=words.evidence, place=words.place, sureness=words.sureness)
    options = _options(diagnosis)
    return environment.get_template("report.md.j2").render(
        d=diagnosis,
        mark=words.STATUS_MARK[diagnosis.status],
        marks=words,
        date=str(diagnosis.subject.facts.get("started") or "")[:10] or "not recorded",
        command=_command(diagnosis),
        ran=words.ran(diagnosis),
        rows=_rows(diagnosis),
        symptoms=words.unexplained(diagnosis),
        others=words.others(diagnosis),
        reasons=words.reasons(diagnosis),
        options=options,
        recommended=_recommendation(diagnosis, options),
        bottom=_bottom(diagnosis),
        next_action=_next_action(diagnosis, options),
    )


def prose(text: object) -> str:
    """`text` on one line, with what Markdown or HTML would take for markup escaped, except inside `code`."""
    pieces = _CODE.split(" ".join(str(text).split()))
    return "".join(piece if number % 2 else _MARKUP.sub(r"\\\1", piece) for number, piece in enumerate(pieces))


def cell(text: object) -> str:
    """`text` as it may stand between the bars of a table."""
    return prose(text).replace("|", r"\|")


def _command(diagnosis: Diagnosis) -> str:
    command = diagnosis.subject.facts.get("command")
    return shlex.join(str(part) for part in command) if isinstance(command, list) else ""


def _rows(diagnosis: Diagnosis) -> list[Row]:
    """Every rule once, by code: passed, fired, crashed, not checked."""
    rows = [Row(p.rule, p.name, words.PASSED, "passed", p.evidence) for p in diagnosis.passed]
    rows += [Row(n.rule, n.name, words.NOT_CHECKED, "not checked", n.reason) for n in diagnosis.not_checked]
    rows += [Row(c.rule, c.name, words.FAILED, "crashed", c.error) for c in diagnosis.crashed]
    fired: dict[str, list[Diagnosed]] = {}
    for finding in diagnosis.findings:
        fired.setdefault(finding.rule, []).append(finding)
    for code, findings in fired.items():
        worst = next((f for f in findings if f.severity == "error"), findings[0])
        evidence = "; ".join(f.title for f in findings)
        rows.append(Row(code, worst.name, words.mark(worst), f"{worst.severity}, {worst.kind}", evidence))
    return sorted(rows, key=lambda row: row.code)


def _options(diagnosis: Diagnosis) -> list[Option]:
    """Ways forward, the best first: each fix, then seeing more, then living with it."""
    found = [*diagnosis.root_causes, *words.unexplained(diagnosis)]
    options = [_repair(f, f.fix) for f in found if f.fix is not None][:_MOST_FIXES]
    blind = next((group for group in words.reasons(diagnosis) if group[1]), None)
    if blind:
        count = sum(len(items) for _, how, items in words.reasons(diagnosis) if how)
        options.append(
            Option(
                "Record what is missing",
                tuple(dict.fromkeys(how for _, how, _ in words.reasons(diagnosis) if how)),
                (),
                None,
                "one more run",
                f"makes {words.plural(count, 'more check')} possible",
            )
        )
    if found:
        names = ", ".join(f'{f.name} = "why it is accepted"' for f in found)
        options.append(
            Option(
                "Accept it knowingly",
                (f"In `[tool.cognate]` of pyproject.toml: `ignore = {{{names}}}`",),
                (),
                None,
                "minutes",
                "the gate passes and the reason stays visible; the fault itself stays in the run",
            )
        )
    else:
        keep = Option(
            "Hold this state in CI",
            ("Add `cognate gate` after the run in the workflow",),
            ("cognate gate",),
            None,
            "minutes",
            "the next fault fails the build instead of a training run",
        )
        options.insert(0 if diagnosis.status == "healthy" else len(options), keep)
    return options


def _repair(finding: Diagnosed, fix: Remedy) -> Option:
    effects = f", which accounts for {', '.join(finding.explains)}" if finding.explains else ""
    return Option(
        fix.summary,
        fix.steps,
        fix.commands,
        fix.diff,
        f"{_TIME.get(fix.effort, fix.effort)}, {fix.risk} risk",
        f"removes {finding.name}{effects}",
    )


def _recommendation(diagnosis: Diagnosis, options: list[Option]) -> str:
    if not options:
        return "Nothing needs to be done."
    if diagnosis.root_causes:
        first = diagnosis.root_causes[0]
        because = f"it is the first root cause ({words.sureness(first)})"
        if first.explains:
            because += f" and explains {', '.join(first.explains)}"
        return f"Option 1, because {because}." if first.fix else f"Look into {first.name} first: {because}."
    if words.unexplained(diagnosis):
        return "Option 1. Something is off and its cause is not known yet, so more evidence comes before any change."
    if diagnosis.status == "inconclusive":
        return f"Option 1, because {diagnosis.reason}: as it stands, neither healthy nor faulty can be said."
    return "Option 1: what could be checked is sound, so keep it that way."


def _bottom(diagnosis: Diagnosis) -> str:
    title = diagnosis.subject.title
    if diagnosis.root_causes:
        count = len(diagnosis.root_causes)
        rest = f", and {words.plural(count - 1, 'more root cause')}" if count > 1 else ""
        return f"{title} has a root cause to remove: {diagnosis.root_causes[0].title}{rest}."
    symptoms = words.unexplained(diagnosis)
    if symptoms:
        return f"{title} shows a symptom that no check could explain: {symptoms[0].title}."
    if diagnosis.status == "inconclusive":
        return f"Nothing can be promised about {title}: {diagnosis.reason}."
    return f"{title} is healthy as far as it was checked: {diagnosis.reason}."


def _next_action(diagnosis: Diagnosis, options: list[Option]) -> str:
    for finding in diagnosis.root_causes[:1]:
        if finding.fix is None:
            return f"read `{finding.docs}`."
        again = "run it again under `cognate run` to see the check pass"
        return f"{finding.fix.summary.rstrip('.')}; then {again}."
    if options and options[0].steps:
        return f"{options[0].steps[0].rstrip('.')}."
    return "none."
