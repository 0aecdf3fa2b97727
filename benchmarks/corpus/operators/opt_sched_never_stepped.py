"""The scheduler is built and never stepped."""

from __future__ import annotations

from benchmarks.corpus.anchors import scheduler_steps
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("opt-lr-too-high", "opt-lr-too-low")
SYMPTOM = "the learning rate stays at its first value"
FIX = "call scheduler.step()"


def edits(source: SourceFile) -> list[Edit]:
    """Delete the scheduler's steps."""
    return [source.delete(step) for body, step in scheduler_steps(source) if len(body) > 1 and source.own_lines(step)]
