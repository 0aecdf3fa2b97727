"""All weights of a layer start at the same value."""

from __future__ import annotations

from benchmarks.corpus.anchors import after_last_model
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("model-missing-or-skipped-init",)
SYMPTOM = "all units of a layer stay copies of each other; the loss plateaus early"
FIX = "use a random initialisation"
TEXT = """\
for p in MODEL.parameters():
    if p.dim() > 1:
        torch.nn.init.constant_(p, 0.02)"""


def edits(source: SourceFile) -> list[Edit]:
    """Add the loop after the model is made."""
    return after_last_model(source, TEXT)
