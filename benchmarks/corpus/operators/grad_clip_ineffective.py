"""Clipping comes after the step."""

from __future__ import annotations

from benchmarks.corpus.anchors import optimizer_step
from benchmarks.corpus.source import Edit, SourceFile, call_of, called

ALTERNATIVES = ("code-call-order", "grad-exploding")
SYMPTOM = "updates are not limited although clipping is there: the loss jumps"
FIX = "clip between backward and step"


def edits(source: SourceFile) -> list[Edit]:
    """Move the clipping statement behind the optimizer's step."""
    for block in source.training_blocks():
        step = optimizer_step(block, source)
        for statement in block.body[block.backward :]:
            call = call_of(statement)
            if step is not None and call is not None and called(call) in ("clip_grad_norm_", "clip_grad_value_"):
                return source.move_after(statement, step) if source.own_lines(statement) else []
    return []
