"""The configured learning rate is not passed to the optimizer."""

from __future__ import annotations

import ast

from benchmarks.corpus.anchors import optimizer_calls
from benchmarks.corpus.source import Edit, SourceFile, keyword

ALTERNATIVES = ("opt-lr-too-low", "opt-lr-too-high")
SYMPTOM = "changing the learning rate has no effect; training goes at the default rate"
FIX = "pass lr to the optimizer"


def edits(source: SourceFile) -> list[Edit]:
    """Drop the keyword `lr` where its value comes from a configuration."""
    found = []
    for call in optimizer_calls(source):
        rate = keyword(call, "lr")
        if rate is None or not isinstance(rate.value, ast.Attribute | ast.Subscript):
            continue
        rest = [source.code(item) for item in call.args] + [source.code(item) for item in call.keywords if item is not rate]
        found.append(source.replace(call, f"{source.code(call.func)}({', '.join(rest)})"))
    return found
