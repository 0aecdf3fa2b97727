"""Every `zero_grad` of a training block goes."""

from __future__ import annotations

from benchmarks.corpus.source import Edit, SourceFile, method_statements

ALTERNATIVES = ("code-call-order",)
SYMPTOM = "the loss jitters, stalls or explodes; the gradient norm grows from step to step"
FIX = "call zero_grad before each backward"


def edits(source: SourceFile) -> list[Edit]:
    """Delete the statements."""
    found = []
    for block in source.training_blocks():
        found += [
            source.delete(statement) for statement in method_statements(block.body, "zero_grad") if source.own_lines(statement)
        ]
    return found
