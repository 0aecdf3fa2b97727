"""Hidden biases start so low that no unit fires."""

from __future__ import annotations

from benchmarks.corpus.anchors import after_last_model
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("model-init-variance",)
SYMPTOM = "hidden units are zero for every input; the output is constant"
FIX = "start the biases at zero"
TEXT = """\
for m in MODEL.modules():
    if isinstance(m, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d)) and m.bias is not None:
        torch.nn.init.constant_(m.bias, -4.0)"""


def edits(source: SourceFile) -> list[Edit]:
    """Add the loop after the model is made."""
    return after_last_model(source, TEXT)
