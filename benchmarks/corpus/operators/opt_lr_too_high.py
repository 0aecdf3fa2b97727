"""The learning rate is a hundred times higher."""

from __future__ import annotations

from benchmarks.corpus.anchors import rate_constants
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("loss-diverging", "loss-nonfinite", "grad-exploding")
SYMPTOM = "the loss jumps in the first steps and stays high"
FIX = "lower the learning rate"


FACTOR = 100.0


def edits(source: SourceFile) -> list[Edit]:
    """Scale the literal learning rates."""
    return [
        source.replace(node, repr(float(f"{node.value * FACTOR:.3g}")))
        for node in rate_constants(source)
        if isinstance(node.value, float)
    ]
