"""Runs rules over a case: each fires, is clear, is skipped with a reason, is ignored with a reason, or crashed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from cognate.case.case import Case
from cognate.errors import SettingsError
from cognate.rules.model import Clear, Finding, Outcome, Rule, Skip
from cognate.rules.needs import missing


@dataclass(frozen=True)
class Selection:
    """Which rules run, by code, name or family prefix; ignores carry the reason that is shown beside them."""

    select: tuple[str, ...] = ()
    ignore: dict[str, str] = field(default_factory=dict)
    thresholds: dict[str, dict[str, Any]] = field(default_factory=dict)

    def selects(self, rule: Rule) -> bool:
        """Whether `rule` is wanted at all; with nothing selected, everything is."""
        return not self.select or any(matches(rule, word) for word in self.select)

    def ignored(self, rule: Rule) -> str | None:
        """The reason for which `rule` is ignored, or None."""
        return next((reason for word, reason in self.ignore.items() if matches(rule, word)), None)


def matches(rule: Rule, word: str) -> bool:
    """Whether `word` is the name, the code or a prefix of the code of `rule`."""
    return word == rule.name or rule.code.startswith(word.upper()) or word.upper() == "ALL"


def run_rule(rule: Rule, case: Case, thresholds: dict[str, Any] | None = None) -> Outcome:
    """Judge `case` by one rule. A rule that raises is contained: its outcome is crashed and shows the error."""
    for need in sorted(rule.needs):
        lack = missing(case, need)
        if lack:
            return Outcome(rule, "skipped", reason=lack[0], how=lack[1])
    try:
        said = list(rule.function(case, **(thresholds or {})))
    except Exception as error:  # a rule is a plug-in: whatever it raises is its outcome, not ours
        return Outcome(rule, "crashed", reason=f"{type(error).__name__}: {error}")
    findings = tuple(item for item in said if isinstance(item, Finding))
    if findings:
        return Outcome(rule, "fired", findings=findings)
    for item in said:
        if isinstance(item, Skip):
            return Outcome(rule, "skipped", reason=item.reason, how=item.how)
    clear = "; ".join(item.evidence for item in said if isinstance(item, Clear))
    return Outcome(rule, "clear", evidence=clear or f"no sign of it ({_seen(rule, case)})")


def _seen(rule: Rule, case: Case) -> str:
    steps = f"{case.steps} steps" if case.steps else "the evidence"
    return f"looked at {', '.join(sorted(rule.needs)) or 'the case'} over {steps}"


def run_rules(rules: Iterable[Rule], case: Case, selection: Selection | None = None) -> list[Outcome]:
    """Judge `case` by every selected rule, in the order of their codes."""
    selection = selection or Selection()
    known = {rule.name: rule for rule in rules}
    for name, values in selection.thresholds.items():
        if name not in known:
            raise SettingsError(f"[tool.cognate.rules.{name}] names no rule: see `cognate rules`.")
        for key in values:
            if key not in known[name].thresholds:
                names = ", ".join(sorted(known[name].thresholds)) or "none"
                raise SettingsError(f"[tool.cognate.rules.{name}] sets {key}, but its thresholds are: {names}.")
    kind = case.info.get("kind", "run")
    outcomes = []
    for rule in sorted(known.values(), key=lambda item: item.code):
        if kind not in rule.subjects or not selection.selects(rule):
            continue
        reason = selection.ignored(rule)
        if reason is not None:
            outcomes.append(Outcome(rule, "ignored", reason=reason))
        else:
            outcomes.append(run_rule(rule, case, selection.thresholds.get(rule.name)))
    return outcomes
