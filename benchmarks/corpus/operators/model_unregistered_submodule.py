"""Submodules are kept in a plain list."""

from __future__ import annotations

import ast

from benchmarks.corpus.source import Edit, SourceFile

ALTERNATIVES = ("opt-params-missing",)
SYMPTOM = "the parameters of the blocks are missing from parameters() and never change"
FIX = "use nn.ModuleList"


def edits(source: SourceFile) -> list[Edit]:
    """Put a plain list in the place of each ModuleList."""
    found = []
    for call in source.calls("ModuleList"):
        if len(call.args) == 1:
            inner = source.code(call.args[0])
            if isinstance(call.args[0], ast.GeneratorExp):
                inner = f"[{inner[1:-1] if inner.startswith('(') and inner.endswith(')') else inner}]"
            elif not isinstance(call.args[0], ast.List | ast.ListComp):
                inner = f"list({inner})"
            found.append(source.replace(call, inner))
        elif not call.args:
            found.append(source.replace(call, "[]"))
    return found
