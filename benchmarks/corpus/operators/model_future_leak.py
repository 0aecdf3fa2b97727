"""The causal mask goes."""

from __future__ import annotations

import ast

from benchmarks.corpus.source import Edit, SourceFile, keyword

ALTERNATIVES = ("eval-teacher-forcing-gap",)
SYMPTOM = "the loss falls below the entropy of the data; generation is useless"
FIX = "mask what comes after a position"


def edits(source: SourceFile) -> list[Edit]:
    """Drop `is_causal=True` from attention, or the statement that masks the scores."""
    for call in source.calls("scaled_dot_product_attention"):
        causal = keyword(call, "is_causal")
        if causal is not None:
            return [source.replace(causal.value, "False")]
    for body in source.blocks():
        for statement in body:
            value = statement.value if isinstance(statement, ast.Assign) else None
            masks = isinstance(value, ast.Call) and "masked_fill" in source.code(value.func)
            if masks and len(body) > 1 and source.own_lines(statement):
                return [source.delete(statement)]
    return []
