"""Scores what a diagnosis said against the truth: by rule names alone, never by the words of a title."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from cognate.bench.corpus import Program
from cognate.bench.engine import Result

# Half the width of a 95 % interval in standard deviations.
Z = 1.959963984540054
NEAR = 3  # lines between the culprit and the place that the finding names
# The machine that the bench runs on is no part of a program: what is said about it is neither right nor a false alarm.
MACHINE = "ENV"


@dataclass(frozen=True)
class Rate:
    """`hits` of `of`, with the 95 % interval of Wilson (1927, JASA 22, 209–212)."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share, or None of nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Lowest and highest share that 95 % confidence allows; everything of nothing."""
        if not self.of:
            return 0.0, 1.0
        share, n = self.hits / self.of, self.of
        centre = share + Z * Z / (2 * n)
        spread = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
        low, high = (centre - spread) / (1 + Z * Z / n), (centre + spread) / (1 + Z * Z / n)
        # At the ends the formula gives 0 and 1, up to rounding.
        return (0.0 if not self.hits else max(low, 0.0)), (1.0 if self.hits == n else min(high, 1.0))


@dataclass(frozen=True)
class Scored:
    """What was said about one program, and what of it was right."""

    program: Program
    ended: str
    seconds: float
    cpu: float
    ending: str = ""  # the exception that ended it, or else the last line that was printed
    status: str = ""  # of the diagnosis; empty where there is none
    detected: bool = False  # some cause at warning or error
    first: bool = False  # the first root cause is right
    root: bool = False  # a root cause is right
    found: bool = False  # some finding is right
    distance: int | None = None  # lines from the first right finding to the culprit; None where it names no line there
    roots: tuple[str, ...] = ()
    symptoms: tuple[str, ...] = ()  # those that nothing explains
    errors: tuple[str, ...] = ()  # rules that fired at error
    warnings: tuple[str, ...] = ()
    claims: tuple[tuple[str, str, bool], ...] = ()  # rule, proof, whether it was right

    @property
    def located(self) -> bool:
        """Whether the first right finding names a line near the culprit."""
        return self.distance is not None and self.distance <= NEAR


def score(result: Result) -> Scored:
    """Score the diagnosis of one program."""
    program, run = result.program, result.run
    if result.diagnosis is None:
        return Scored(program, run.ended, run.seconds, run.cpu, _ending(result))
    findings = [f for f in result.diagnosis["findings"] if f["severity"] != "info" and not _machine(f, program)]
    roots = [f for f in result.diagnosis["root_causes"] if not _machine(f, program)]
    right = [f for f in findings if f["name"] in program.right]
    return Scored(
        program,
        run.ended,
        run.seconds,
        run.cpu,
        _ending(result),
        result.diagnosis["status"],
        detected=any(f["kind"] == "cause" for f in findings),
        first=bool(roots) and roots[0]["name"] in program.right,
        root=any(f["name"] in program.right for f in roots),
        found=bool(right),
        distance=_distance(right[0], program) if right else None,
        roots=_names(roots),
        symptoms=_names(f for f in findings if f["kind"] == "symptom" and f["explained_by"] is None),
        errors=_names(f for f in findings if f["severity"] == "error"),
        warnings=_names(f for f in findings if f["severity"] == "warning"),
        claims=_claims(findings, program),
    )


def _ending(result: Result) -> str:
    crash = ((result.diagnosis or {}).get("subject") or {}).get("facts", {}).get("exception") or {}
    if crash.get("type"):
        return f"{crash['type']}: {crash.get('message', '')}"
    return (result.run.tail.strip().splitlines() or [""])[-1]


def _machine(finding: dict[str, Any], program: Program) -> bool:
    return str(finding["rule"]).startswith(MACHINE) and program.family != MACHINE


def _names(findings: Iterable[dict[str, Any]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(f["name"]) for f in findings))


def _claims(findings: Sequence[dict[str, Any]], program: Program) -> tuple[tuple[str, str, bool], ...]:
    """What each rule said on its own account, once a rule and proof.

    A cause that another one explains is no claim. A symptom says that something is off: it is right about any faulty program.
    """
    claims: dict[tuple[str, str], bool] = {}
    for finding in findings:
        name, symptom = str(finding["name"]), finding["kind"] == "symptom"
        if finding["explained_by"] is None or symptom:
            claims[name, str(finding["proof"])] = program.kind == "faulty" if symptom else name in program.right
    return tuple(sorted((name, proof, right) for (name, proof), right in claims.items()))


def _distance(finding: dict[str, Any], program: Program) -> int | None:
    place = finding.get("location") or {}
    if not place.get("file") or place.get("line") is None:
        return None
    line = int(place["line"])
    away = [max(first - line, line - last, 0) for file, first, last in program.culprit if _same_file(place["file"], file)]
    return min(away, default=None)


def _same_file(found: str, culprit: str) -> bool:
    """Whether two paths name one file, where one of them may have folders before it."""
    one, other = PurePosixPath(found.replace("\\", "/")).parts, PurePosixPath(culprit).parts
    shorter = min(len(one), len(other))
    return one[-shorter:] == other[-shorter:]


@dataclass(frozen=True)
class Metric:
    """One figure of the report: among which programs, and which of them count."""

    key: str
    title: str
    short: str  # where it is one column of many
    among: Callable[[Scored], bool]
    counts: Callable[[Scored], bool]


def _faulty(item: Scored) -> bool:
    return item.program.kind == "faulty"


METRICS = (
    Metric("detected", "fault detected", "detected", _faulty, lambda s: s.detected),
    Metric("first", "root cause first", "first", _faulty, lambda s: s.first),
    Metric("root", "among root causes", "root", _faulty, lambda s: s.root),
    Metric("found", "among findings", "found", _faulty, lambda s: s.found),
    Metric(
        "located",
        f"line within {NEAR}",
        "line",
        lambda s: _faulty(s) and s.found and bool(s.program.culprit),
        lambda s: s.located,
    ),
    Metric(
        "alarm_healthy", "error on look-alike", "error alike", lambda s: s.program.kind == "healthy", lambda s: bool(s.errors)
    ),
    Metric("alarm_fixed", "error on fixed twin", "error twin", lambda s: s.program.kind == "fixed", lambda s: bool(s.errors)),
    Metric(
        "warned_healthy", "warning on look-alike", "warn alike", lambda s: s.program.kind == "healthy", lambda s: bool(s.warnings)
    ),
    Metric("warned_fixed", "warning on fixed twin", "warn twin", lambda s: s.program.kind == "fixed", lambda s: bool(s.warnings)),
)


def rate(metric: Metric, items: Iterable[Scored]) -> Rate:
    """`metric` over `items`."""
    among = [item for item in items if metric.among(item)]
    return Rate(sum(metric.counts(item) for item in among), len(among))


def groups(items: Sequence[Scored]) -> dict[str, dict[str, list[Scored]]]:
    """`items` by part, family and style. A fixed twin belongs to each family of which it is the repaired form."""
    repaired: dict[str, set[str]] = {}
    for item in items:
        if _faulty(item):
            repaired.setdefault(item.program.family, set()).add(item.program.base)
    families = sorted({item.program.family for item in items if item.program.family})
    return {
        "part": _by(items, lambda s: s.program.part),
        "family": {
            name: [s for s in items if s.program.family == name or s.program.id in repaired.get(name, ())] for name in families
        },
        "style": _by(items, lambda s: s.program.style or "other"),
    }


def _by(items: Sequence[Scored], key: Callable[[Scored], str]) -> dict[str, list[Scored]]:
    return {name: [item for item in items if key(item) == name] for name in sorted({key(item) for item in items})}


def middle_and_tail(values: Iterable[float]) -> tuple[float, float]:
    """Median and 95th percentile (nearest rank) of `values`; zeros of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0, 0.0
    middle = (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
    return middle, ordered[math.ceil(0.95 * len(ordered)) - 1]
