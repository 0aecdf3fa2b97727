"""The training loss is summed over the batch."""

from __future__ import annotations

from benchmarks.corpus.anchors import imported
from benchmarks.corpus.source import Edit, SourceFile, keyword

ALTERNATIVES = ("opt-lr-too-high",)
SYMPTOM = "gradients and the effective learning rate grow with the batch size: training is unstable"
FIX = "average over the batch"


LOSSES = (
    "cross_entropy",
    "mse_loss",
    "smooth_l1_loss",
    "l1_loss",
    "CrossEntropyLoss",
    "MSELoss",
    "BCEWithLogitsLoss",
    "HuberLoss",
)


def edits(source: SourceFile) -> list[Edit]:
    """Ask for a sum in the first loss of the file."""
    for call in source.calls(*LOSSES):
        if keyword(call, "reduction") is None and imported(source, "torch"):
            inner = [source.code(item) for item in [*call.args]] + [source.code(item) for item in call.keywords]
            return [
                source.replace(call, f"{source.code(call.func)}({', '.join([*inner, 'reduction=' + chr(34) + 'sum' + chr(34)])})")
            ]
    return []
