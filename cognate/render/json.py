"""The diagnosis as JSON; its schema is docs/schema/diagnosis.schema.json."""

from __future__ import annotations

from cognate.diagnosis.model import Diagnosis


def render(diagnosis: Diagnosis) -> str:
    """The same bytes for the same case."""
    return diagnosis.to_json()
