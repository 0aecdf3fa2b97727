"""The manual of one rule as plain text: what `cognate rule NAME` prints."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from cognate.diagnosis.model import EvidenceLine
from cognate.render.words import evidence
from cognate.rules.model import Example, Outcome, Rule
from cognate.rules.runner import run_rule

# An example is shown by its first rows, each cut to one readable line.
_ROWS, _WIDTH = 4, 240


def render(rule: Rule) -> str:
    """Sentence, reason, needs, thresholds with sources, the two examples judged on the spot, and how to ignore it."""
    parts = [
        f"{rule.code} {rule.name} ({rule.kind.value}, {rule.severity.value})",
        rule.summary,
        rule.explanation,
        _facts(rule),
        _thresholds(rule),
        _example("It fires on", rule, rule.fires),
        _example("It stays quiet on", rule, rule.quiet),
        "To ignore it, with a reason that stays visible, in pyproject.toml:\n"
        f'  [tool.cognate.ignore]\n  {rule.name} = "why it does not matter here"',
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _facts(rule: Rule) -> str:
    lines = [
        f"Judges    {', '.join(sorted(rule.subjects))}",
        f"Needs     {', '.join(sorted(rule.needs)) or 'nothing beyond the case'}",
    ]
    if rule.explains:
        lines.append(f"Explains  {', '.join(sorted(rule.explains))}")
    if rule.core:
        lines.append("Core      has to be checkable and clear before a subject is called healthy")
    return "\n".join(lines)


def _thresholds(rule: Rule) -> str:
    if not rule.thresholds:
        return ""
    lines = [f"Thresholds, to be changed in [tool.cognate.rules.{rule.name}]:"]
    lines += [f"  {name} = {json.dumps(t.default, default=str)}   {t.source}" for name, t in rule.thresholds.items()]
    return "\n".join(lines)


def _example(label: str, rule: Rule, example: Example) -> str:
    lines = [f"{label}:"]
    for part, content in example.parts.items():
        lines += [f"  {part}:", textwrap.indent(_shown(part, content), "    ")]
    return "\n".join([*lines, *_said(run_rule(rule, example.case))])


def _shown(part: str, content: Any) -> str:
    if part == "source" and isinstance(content, dict):
        return "\n".join(f"# {file}\n{text.rstrip()}" for file, text in content.items())
    rows = content if isinstance(content, list) else [content]
    lines = [textwrap.shorten(json.dumps(_brief(row), ensure_ascii=False, default=str), _WIDTH) for row in rows[:_ROWS]]
    if len(rows) > _ROWS:
        lines.append(f"… and {len(rows) - _ROWS:,} more")
    return "\n".join(lines)


def _brief(item: Any) -> Any:
    """`item` with its numbers cut to four digits."""
    if isinstance(item, float):
        return float(f"{item:.4g}")
    if isinstance(item, dict):
        return {key: _brief(value) for key, value in item.items()}
    return [_brief(value) for value in item] if isinstance(item, (list, tuple)) else item


def _said(outcome: Outcome) -> list[str]:
    if outcome.status != "fired":
        return [f"  and says: {outcome.status}, {outcome.evidence or outcome.reason}"]
    lines = []
    for finding in outcome.findings:
        lines.append(f"  and says: {finding.title}")
        lines += ["    " + evidence(EvidenceLine(fact.what, fact.value, fact.expected, fact.source)) for fact in finding.evidence]
        if finding.fix:
            lines.append(f"  and advises: {finding.fix.summary}")
    return lines
