"""`zero_grad` moves between backward and step."""

from __future__ import annotations

from benchmarks.corpus.anchors import optimizer_step
from benchmarks.corpus.source import Edit, SourceFile, method_statements

ALTERNATIVES = ("code-call-order", "opt-step-no-effect")
SYMPTOM = "the loss is constant: every step is empty"
FIX = "clear the gradients before backward or after step"


def edits(source: SourceFile) -> list[Edit]:
    """Move the statement in front of the optimizer's step."""
    for block in source.training_blocks():
        step = optimizer_step(block, source)
        cleared = method_statements(block.body, "zero_grad")
        if step is not None and len(cleared) == 1 and source.own_lines(cleared[0]) and source.own_lines(step):
            return source.move_before(cleared[0], step)
    return []
