"""What a peer said of a program, and what that is worth.

A peer is judged by the ids of its findings alone. Each adapter has one table, from id to `Meaning`; the words of a finding are
never read. The names are those of the corpus (causes of a fault).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning", "info"]
Outcome = Literal["first", "among", "symptom", "misleading", "silent", "not run"]
_ORDER = {"error": 0, "warning": 1, "info": 2}
OUTCOMES: tuple[Outcome, ...] = ("first", "among", "symptom", "misleading", "silent", "not run")


@dataclass(frozen=True)
class Meaning:
    """What a finding of this id says.

    `names` are causes that it asserts; several where one finding covers what the corpus tells apart. `guesses` are causes that
    its text lists as possible. A `symptom` is an observation that may be true whatever the cause.
    """

    names: tuple[str, ...] = ()
    guesses: tuple[str, ...] = ()
    symptom: bool = False


@dataclass(frozen=True)
class Finding:
    """One finding, by the peer's own id."""

    id: str
    severity: Severity


@dataclass
class Verdict:
    """What one peer said of one program, its most important finding first."""

    status: Literal["ok", "not run"]
    reason: str = ""
    findings: list[Finding] = field(default_factory=list)
    cpu: float = 0.0  # seconds, of the peer and of what had to run for it
    note: str = ""


def outcome(verdict: Verdict, meanings: Mapping[str, Meaning], accepted: Collection[str], on_twin: Collection[str]) -> Outcome:
    """How good the verdict is on a faulty program whose accepted causes are known.

    A symptom counts only if the fixed twin does not show it too (`on_twin`: ids of the findings there): what is said of both
    can't lead to the fault. A cause that is named counts either way, in the peer's favour. The rest is misleading.
    """
    if verdict.status != "ok":
        return "not run"
    if not verdict.findings:
        return "silent"
    right = set(accepted)
    said = [(finding.id, meanings[finding.id]) for finding in verdict.findings]
    if right.intersection(said[0][1].names):
        return "first"
    if any(right.intersection(meaning.names + meaning.guesses) for _, meaning in said):
        return "among"
    if any(meaning.symptom and identity not in on_twin for identity, meaning in said):
        return "symptom"
    return "misleading"


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """By severity, in the peer's order within one; each id once."""
    once: dict[str, Finding] = {}
    for finding in sorted(findings, key=lambda one: _ORDER[one.severity]):
        once.setdefault(finding.id, finding)
    return list(once.values())
