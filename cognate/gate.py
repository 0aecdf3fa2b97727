"""Turns a diagnosis into a verdict by policy: what fails the build, what is known already, and the exit code."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from cognate.case.store import read_json, write_json
from cognate.diagnosis.model import Diagnosed, Diagnosis
from cognate.errors import SettingsError

FINE, NEGATIVE, CANNOT_JUDGE, CRASHED = 0, 1, 2, 3

SCHEMA = "cognate.baseline/1"
_LEVELS = {"error": ("error",), "warning": ("error", "warning"), "never": ()}


@dataclass(frozen=True, order=True)
class Fingerprint:
    """What makes a finding the same one in the next run: its rule and its place, never its numbers or its line."""

    rule: str
    file: str
    symbol: str

    @classmethod
    def of(cls, finding: Diagnosed) -> Fingerprint:
        """The fingerprint of `finding`."""
        place = finding.location
        return cls(
            finding.rule,
            (place.file if place else None) or "",
            ((place.symbol or place.module) if place else None) or "",
        )


Baseline = dict[Fingerprint, str]


@dataclass(frozen=True)
class Verdict:
    """Pass, fail or cannot judge, with the reasons in words and the exit code of `cognate gate`."""

    verdict: Literal["pass", "fail", "cannot judge"]
    exit_code: int
    reasons: tuple[str, ...]
    failing: tuple[Diagnosed, ...] = ()
    known: tuple[str, ...] = ()  # findings that the baseline accepts, with its reason

    def to_dict(self) -> dict[str, Any]:
        """The verdict as JSON-ready values."""
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "reasons": list(self.reasons),
            "failing": [{"rule": f.rule, "name": f.name, "severity": f.severity, "title": f.title} for f in self.failing],
            "known": list(self.known),
        }


def judge(diagnosis: Diagnosis, fail_on: str = "error", baseline: Baseline | None = None) -> Verdict:
    """Judge `diagnosis`: it fails on any finding at or above `fail_on` that `baseline` does not know.

    A finding is also known where the cause that explains it is. Nothing found but too little seen is no pass: the
    verdict is then "cannot judge".
    """
    accepted = _accepted(diagnosis, baseline or {})
    numbered = list(enumerate(diagnosis.findings))
    failing = tuple(f for n, f in numbered if f.severity in _LEVELS[fail_on] and n not in accepted)
    known = tuple(f"{f.rule} {f.name}: {f.title} ({accepted[n]})" for n, f in numbered if n in accepted)
    if failing:
        reasons = tuple(f"{f.severity} {f.rule} {f.name}: {f.title}" for f in failing)
        return Verdict("fail", NEGATIVE, reasons, failing, known)
    if diagnosis.crashed:
        reasons = tuple(f"rule {c.rule} {c.name} crashed ({c.error})" for c in diagnosis.crashed)
        return Verdict("cannot judge", CRASHED, reasons, (), known)
    if diagnosis.status == "inconclusive" and fail_on != "never":
        return Verdict("cannot judge", CANNOT_JUDGE, (diagnosis.reason,), (), known)
    return Verdict("pass", FINE, (_why_passed(diagnosis, fail_on, len(known)),), (), known)


def _accepted(diagnosis: Diagnosis, baseline: Baseline) -> dict[int, str]:
    """The numbers of the findings in the baseline, and of those that one of them explains, each with the reason."""
    findings = diagnosis.findings
    accepted = {n: baseline[key] for n, f in enumerate(findings) if (key := Fingerprint.of(f)) in baseline}
    while True:
        names = {findings[n].name for n in accepted}
        more = {
            n: f"explained by {f.explained_by}" for n, f in enumerate(findings) if f.explained_by in names and n not in accepted
        }
        if not more:
            return accepted
        accepted.update(more)


def _why_passed(diagnosis: Diagnosis, fail_on: str, known: int) -> str:
    if fail_on == "never":
        return f"the gate is set never to fail; the diagnosis is {diagnosis.status}: {diagnosis.reason}"
    if known:
        return f"nothing at level {fail_on} beyond the {known} known finding{'s' if known > 1 else ''}"
    if diagnosis.findings:
        return f"no finding at level {fail_on}; {diagnosis.status}: {diagnosis.reason}"
    return f"{diagnosis.status}: {diagnosis.reason}"


def read_baseline(file: Path) -> Baseline:
    """Read the findings accepted so far. Raises SettingsError where `file` is not a baseline."""
    if not file.is_file():
        raise SettingsError(f"There is no baseline {file}: write it with `cognate gate --write-baseline`.")
    document = read_json(file)
    try:
        if document["schema"] != SCHEMA:
            raise KeyError(document["schema"])
        return {Fingerprint(str(e["rule"]), str(e["file"]), str(e["symbol"])): str(e["reason"]) for e in document["known"]}
    except (KeyError, TypeError) as error:
        raise SettingsError(f"{file} is not a Cognate baseline: write it with `cognate gate --write-baseline`.") from error


def write_baseline(file: Path, diagnosis: Diagnosis, fail_on: str, reason: str, old: Baseline | None = None) -> int:
    """Accept every finding of `diagnosis` at or above `fail_on` as known and return how many; old reasons are kept."""
    levels = _LEVELS[fail_on] or _LEVELS["warning"]
    found = sorted({Fingerprint.of(f) for f in diagnosis.findings if f.severity in levels})
    entries = [{**asdict(key), "reason": (old or {}).get(key, reason)} for key in found]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"schema": SCHEMA, "known": entries})
    return len(entries)
