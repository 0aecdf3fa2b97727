"""A part of the forward pass that is trained runs without gradient."""

from __future__ import annotations

import ast

from benchmarks.corpus.anchors import forward_of, imported, model_classes
from benchmarks.corpus.source import Edit, SourceFile, called

ALTERNATIVES = ("grad-graph-broken", "grad-none-or-zero-param")
SYMPTOM = "the first part of the model gets no gradient and never changes"
FIX = "leave no_grad to evaluation"


def edits(source: SourceFile) -> list[Edit]:
    """Put the first statement of the last model's forward pass that applies a module under no_grad."""
    classes = model_classes(source)
    forward = forward_of(classes[-1]) if classes else None
    if forward is None or not imported(source, "torch"):
        return []
    statements = [item for item in forward.body if isinstance(item, ast.Assign)]
    for statement in statements:
        applies = [
            node
            for node in ast.walk(statement.value)
            if isinstance(node, ast.Call) and source.code(node.func).startswith("self.")
        ]
        if applies and called(applies[0]) not in ("register_buffer",) and source.own_lines(statement):
            lines = source.code(statement).replace("\n", "\n    ")
            return [source.delete(statement), source.before(statement, f"with torch.no_grad():\n    {lines}")]
    return []
