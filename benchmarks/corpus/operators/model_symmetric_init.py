"""All weights of a layer start at the same value."""

from __future__ import annotations

from benchmarks.corpus.anchors import built_models, imported
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
    models = built_models(source)
    if not models or not imported(source, "torch"):
        return []
    model = models[-1]
    return [source.after(model.statement, TEXT.replace("MODEL", model.target))]
