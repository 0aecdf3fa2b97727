"""Weights start so large that tanh and sigmoid are pinned."""

from __future__ import annotations

from benchmarks.corpus.anchors import after_last_model
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("model-init-variance", "grad-vanishing")
SYMPTOM = "activations sit at their bounds and gradients in front of them vanish"
FIX = "use the default initialisation"
TEXT = """\
with torch.no_grad():
    for p in MODEL.parameters():
        if p.dim() > 1:
            p.mul_(40)"""


def edits(source: SourceFile) -> list[Edit]:
    """Add the loop after the model is made."""
    return after_last_model(source, TEXT)
