"""The learning rate is five hundred times lower."""

from __future__ import annotations

from benchmarks.corpus.anchors import rate_constants
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ()
SYMPTOM = "the loss hardly moves over the whole run"
FIX = "raise the learning rate"


FACTOR = 1 / 500


def edits(source: SourceFile) -> list[Edit]:
    """Scale the literal learning rates."""
    return [
        source.replace(node, repr(float(f"{node.value * FACTOR:.3g}")))
        for node in rate_constants(source)
        if isinstance(node.value, float)
    ]
