"""The diagnosis as every renderer takes it and as `--format json` prints it (schema in docs/schema/diagnosis.schema.json)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from cognate.case.store import finite

SCHEMA = "cognate.diagnosis/1"

Status = Literal["healthy", "warning", "unhealthy", "inconclusive"]


@dataclass(frozen=True)
class EvidenceLine:
    """One fact under a finding. `from_` is written `from` in JSON."""

    what: str
    value: Any
    expected: str
    from_: str


@dataclass(frozen=True)
class Place:
    """Where: a line of first-party code, a module of the model, or both."""

    file: str | None
    line: int | None
    symbol: str | None
    module: str | None


@dataclass(frozen=True)
class Remedy:
    """What to do about a finding."""

    summary: str
    steps: tuple[str, ...]
    commands: tuple[str, ...]
    effort: str
    risk: str
    diff: str | None
    proved_by: str | None


@dataclass(frozen=True)
class Diagnosed:
    """A finding in its final form."""

    rule: str
    name: str
    kind: Literal["cause", "symptom", "practice"]
    severity: Literal["error", "warning", "info"]
    title: str
    proof: Literal["experiment", "measurement", "source", "inference"]
    confidence: float | None
    confidence_basis: str
    evidence: tuple[EvidenceLine, ...]
    location: Place | None
    onset_step: int | None
    explains: tuple[str, ...]  # names of findings in this diagnosis that this one accounts for
    explained_by: str | None
    explanation: str
    fix: Remedy | None
    docs: str
    experiments: tuple[str, ...] = ()  # for an unexplained symptom: what would tell its candidates apart


@dataclass(frozen=True)
class Passed:
    """A rule that looked and found nothing, with what it saw."""

    rule: str
    name: str
    summary: str
    evidence: str
    core: bool


@dataclass(frozen=True)
class NotChecked:
    """A rule that could not judge or was told not to, with the reason and what would change that."""

    rule: str
    name: str
    summary: str
    reason: str
    how: str


@dataclass(frozen=True)
class Crashed:
    """A rule that failed; contained and shown."""

    rule: str
    name: str
    error: str


@dataclass(frozen=True)
class Subject:
    """What was diagnosed."""

    kind: str
    path: str
    title: str
    steps: int
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Feature:
    """One of the trainer's fixes, with what this run's measured values say to it."""

    fix: int
    name: str
    status: Literal["shown", "contradicted", "open"]  # open: not measured, or switched off
    evidence: str


@dataclass(frozen=True)
class Figure:
    """One measured figure, in words."""

    name: str
    text: str


@dataclass(frozen=True)
class Training:
    """A run of `cognate train`: its fixes, its figures, the rows it could not use, and all that it reported."""

    features: tuple[Feature, ...]
    figures: tuple[Figure, ...]
    bad_rows: tuple[str, ...]  # the first ones, each with its reason
    reported: dict[str, Any]  # training.json as it is


@dataclass(frozen=True)
class View:
    """What one way of asking says about a contested module: the command, `python -c`, `pip list`, another interpreter."""

    module: str
    who: str
    python: str
    first: str | None  # sys.path[0]
    sees: str | None  # the file that it would load or the metadata that it lists; None: nothing
    version: str | None  # of the distribution, with its name
    fails: str | None  # why that does not serve
    says: str | None  # what the script's handler says instead


@dataclass(frozen=True)
class Diagnosis:
    """Ranked root causes, everything that fired, what passed, what was not checked, what crashed."""

    tool: dict[str, Any]
    subject: Subject
    status: Status
    reason: str  # one sentence: why this status
    root_causes: tuple[Diagnosed, ...]
    findings: tuple[Diagnosed, ...]
    passed: tuple[Passed, ...]
    not_checked: tuple[NotChecked, ...]
    crashed: tuple[Crashed, ...]
    training: Training | None = None  # where the case is a run of `cognate train`
    views: tuple[View, ...] = ()  # who says what, where a root cause lies in the environment
    schema: str = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON-ready values, in a fixed order of keys."""
        plain = asdict(self)
        plain = {"schema": plain.pop("schema"), **plain}
        for group in ("root_causes", "findings"):
            for item in plain[group]:
                for line in item["evidence"]:
                    line["from"] = line.pop("from_")
        result: dict[str, Any] = finite(plain)
        return result

    def to_json(self) -> str:
        """The same bytes for the same case."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=2, default=str) + "\n"
