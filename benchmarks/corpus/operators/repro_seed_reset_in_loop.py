"""The seed is set again in every turn of the training loop."""

from __future__ import annotations

import ast

from benchmarks.corpus.anchors import enclosing_loops
from benchmarks.corpus.source import Edit, SourceFile, call_of

ALTERNATIVES = ("data-epoch-order-repeats",)
SYMPTOM = "every step draws the same batch: the training loss falls to zero, validation gets worse"
FIX = "seed once, before the loop"


def edits(source: SourceFile) -> list[Edit]:
    """Move the seeding statement to the start of the innermost training loop."""
    seeds = [
        statement
        for body in source.blocks()
        for statement in body
        if (call := call_of(statement)) is not None
        and source.code(call.func) == "torch.manual_seed"
        and source.own_lines(statement)
    ]
    for block in source.training_blocks():
        loops = enclosing_loops(source, block.body[block.backward])
        if seeds and loops and isinstance(call_of(seeds[0]), ast.Call):
            return [source.before(loops[-1].body[0], source.code(seeds[0]))]
    return []
