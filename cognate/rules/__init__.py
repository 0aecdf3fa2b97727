"""What a skill author imports: the decorator and the nouns of a finding."""

from cognate.case.case import Case
from cognate.rules.model import (
    Clear,
    Evidence,
    Example,
    Finding,
    Fix,
    Kind,
    Location,
    Outcome,
    Proof,
    Rule,
    Said,
    Severity,
    Skip,
    rule,
)

__all__ = [
    "Case",
    "Clear",
    "Evidence",
    "Example",
    "Finding",
    "Fix",
    "Kind",
    "Location",
    "Outcome",
    "Proof",
    "Rule",
    "Said",
    "Severity",
    "Skip",
    "rule",
]
