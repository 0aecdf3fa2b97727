"""The nouns of judging: `Rule`, `Finding`, `Fix`, `Evidence`, `Location`, `Outcome`, and the `@rule` decorator."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from cognate.case.case import Case
from cognate.errors import SkillError


class Severity(str, Enum):
    """How bad it is, if it is so."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return list(Severity).index(self)


class Kind(str, Enum):
    """Whether a finding says why (cause), that something is off (symptom), or what is better done (practice)."""

    CAUSE = "cause"
    SYMPTOM = "symptom"
    PRACTICE = "practice"


class Proof(str, Enum):
    """How sure it is: what kind of evidence stands behind it."""

    EXPERIMENT = "experiment"  # a probe or trial changed one thing and saw the effect
    MEASUREMENT = "measurement"  # recorded from the run itself
    SOURCE = "source"  # read from the script, not seen to happen
    INFERENCE = "inference"  # concluded from curves

    @property
    def rank(self) -> int:
        """0 for the strongest."""
        return list(Proof).index(self)


@dataclass(frozen=True)
class Evidence:
    """One measured fact: what, its value, what was expected, and where it was recorded."""

    what: str
    value: Any
    expected: str = ""
    source: str = ""


@dataclass(frozen=True)
class Location:
    """Where the fault is: a line of first-party code, a module of the model, or both."""

    file: str | None = None
    line: int | None = None
    symbol: str | None = None
    module: str | None = None

    @classmethod
    def of(cls, site: Mapping[str, Any] | None, module: str | None = None) -> Location | None:
        """Make a location from a recorded call site; None where nothing is known."""
        if not site and module is None:
            return None
        site = site or {}
        return cls(site.get("file"), site.get("line"), site.get("function"), module)


@dataclass(frozen=True)
class Fix:
    """What to do: one sentence, the steps, what it takes, and a diff where one could be computed."""

    summary: str
    steps: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    effort: str = "minutes"  # minutes | hours | days
    risk: str = "low"  # low | medium | high
    diff: str | None = None


@dataclass(frozen=True)
class Finding:
    """What a rule yields when it fires. The runner adds the rule's own name, kind and severity."""

    title: str
    proof: Proof
    evidence: tuple[Evidence, ...] = ()
    fix: Fix | None = None
    location: Location | None = None
    onset_step: int | None = None
    severity: Severity | None = None  # where this case is worse or milder than the rule in general
    kind: Kind | None = None


@dataclass(frozen=True)
class Clear:
    """What a rule yields to say what it saw when nothing is wrong; shown as the evidence of a ✓."""

    evidence: str


@dataclass(frozen=True)
class Skip:
    """What a rule yields when it finds, while looking, that it cannot tell."""

    reason: str
    how: str = ""


Said = Finding | Clear | Skip


@dataclass(frozen=True)
class Example:
    """A case in miniature; the keywords are those of `Case.of`."""

    parts: dict[str, Any] = field(default_factory=dict)

    def __init__(self, **parts: Any) -> None:
        object.__setattr__(self, "parts", parts)

    @property
    def case(self) -> Case:
        """The example as a case in memory."""
        return Case.of(**self.parts)


@dataclass(frozen=True)
class Threshold:
    """A number that a rule decides by: its default and the source or calibration of that default."""

    default: Any
    source: str


@dataclass(frozen=True)
class Rule:
    """One judgement, complete: code, name, manual, needs, examples, thresholds, and the function that decides."""

    code: str
    name: str
    kind: Kind
    severity: Severity
    needs: frozenset[str]
    explains: frozenset[str]
    thresholds: dict[str, Threshold]
    fires: Example = field(repr=False)
    quiet: Example = field(repr=False)
    core: bool
    subjects: frozenset[str]
    function: Callable[..., Iterator[Said]]

    @property
    def summary(self) -> str:
        """First line of the docstring."""
        return inspect.getdoc(self.function).splitlines()[0]  # type: ignore[union-attr]

    @property
    def explanation(self) -> str:
        """The docstring below its first line."""
        return "\n".join(inspect.getdoc(self.function).splitlines()[1:]).strip()  # type: ignore[union-attr]

    @property
    def family(self) -> str:
        """Letters of the code, such as LOSS."""
        return re.match(r"[A-Z]+", self.code).group()  # type: ignore[union-attr]


@dataclass(frozen=True)
class Outcome:
    """What became of one rule on one case."""

    rule: Rule
    status: str  # fired | clear | skipped | crashed | ignored
    findings: tuple[Finding, ...] = ()
    evidence: str = ""
    reason: str = ""
    how: str = ""


def rule(
    *,
    code: str,
    name: str,
    severity: Severity,
    kind: Kind,
    fires: Example,
    quiet: Example,
    needs: Iterable[str] = (),
    explains: Iterable[str] = (),
    sources: dict[str, str] | None = None,
    core: bool = False,
    subjects: Iterable[str] = ("run",),
) -> Callable[[Callable[..., Iterator[Said]]], Rule]:
    """Turn a generator function over a case into a Rule.

    Keyword-only parameters of the function are its thresholds: their defaults can be overridden in
    `[tool.cognate.rules.<name>]`, and `sources` must cite where each default comes from. `needs` names evidence (see
    `cognate.rules.needs`); a rule whose evidence is missing is skipped with the reason. `core` rules must have been
    checkable and clear before a diagnosis may say healthy. `subjects` are the kinds of case that the rule judges.
    Raises SkillError where the rule is incomplete.
    """

    def make(function: Callable[..., Iterator[Said]]) -> Rule:
        if not re.fullmatch(r"[A-Z]+[0-9]{3}", code):
            raise SkillError(f"Rule code {code!r} should be a family and three digits, such as LOSS101.")
        if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            raise SkillError(f"Rule name {name!r} should be lowercase words joined by hyphens.")
        if not function.__doc__:
            raise SkillError(f"Rule {name} has no docstring: its first line is its entry in every table.")
        cited = sources or {}
        thresholds = {}
        for parameter, default in (function.__kwdefaults__ or {}).items():
            if parameter not in cited:
                raise SkillError(f"Rule {name}: threshold {parameter} cites no source; add it to sources={{…}}.")
            thresholds[parameter] = Threshold(default, cited[parameter])
        return Rule(
            code,
            name,
            kind,
            severity,
            frozenset(needs),
            frozenset(explains),
            thresholds,
            fires,
            quiet,
            core,
            frozenset(subjects),
            function,
        )

    return make
