"""Weights start far too large."""

from __future__ import annotations

from benchmarks.corpus.anchors import after_last_model
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("model-init-loss-off", "model-saturated-activation", "grad-exploding")
SYMPTOM = "the first loss is huge and training does not recover from it"
FIX = "scale the initial weights to the fan-in"
TEXT = """\
for p in MODEL.parameters():
    if p.dim() > 1:
        torch.nn.init.normal_(p, std=1.0)"""


def edits(source: SourceFile) -> list[Edit]:
    """Add the loop after the model is made."""
    return after_last_model(source, TEXT)
