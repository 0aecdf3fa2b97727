"""Predictions keep a trailing dimension that the targets lack."""

from __future__ import annotations

import ast

from benchmarks.corpus.anchors import forward_of, model_classes
from benchmarks.corpus.source import Edit, SourceFile, called

ALTERNATIVES = ()
SYMPTOM = "the loss plateaus at the variance of the target; the model predicts the mean"
FIX = "squeeze the prediction"


def edits(source: SourceFile) -> list[Edit]:
    """Take the squeeze off what a model returns."""
    for node in reversed(model_classes(source)):
        forward = forward_of(node)
        for item in ast.walk(forward) if forward else []:
            value = item.value if isinstance(item, ast.Return) else None
            if not isinstance(value, ast.Call) or called(value) not in ("squeeze", "flatten"):
                continue
            if isinstance(value.func, ast.Attribute) and not isinstance(value.func.value, ast.Name):
                return [source.replace(value, source.code(value.func.value))]
    return []
