"""Labels are permuted apart from the inputs."""

from __future__ import annotations

import ast

from benchmarks.corpus.anchors import imported
from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ()
SYMPTOM = "the loss stays where an input-blind model stays"
FIX = "permute inputs and labels together"


def edits(source: SourceFile) -> list[Edit]:
    """Permute the labels of the first TensorDataset."""
    for call in source.calls("TensorDataset"):
        if len(call.args) == 2 and not any(isinstance(item, ast.Starred) for item in call.args) and imported(source, "torch"):
            label = source.code(call.args[1])
            return [source.replace(call.args[1], f"{label}[torch.randperm(len({label}))]")]
    return []
