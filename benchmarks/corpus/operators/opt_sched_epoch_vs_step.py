"""A schedule in epochs is stepped with every batch."""

from __future__ import annotations

from benchmarks.corpus.anchors import optimizer_step, scheduler_steps
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("opt-sched-horizon-mismatch", "opt-lr-zero-or-dead-tail")
SYMPTOM = "the learning rate is used up, or runs up again, within the first epochs"
FIX = "step the scheduler once per epoch"


def edits(source: SourceFile) -> list[Edit]:
    """Move the scheduler's step behind the optimizer's."""
    for body, statement in scheduler_steps(source):
        for block in source.training_blocks():
            step = optimizer_step(block, source)
            if block.body is body or step is None or not source.own_lines(statement) or not source.own_lines(step):
                continue
            return source.move_after(statement, step)
    return []
