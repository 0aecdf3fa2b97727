"""`eval()` before validation goes."""

from __future__ import annotations

from benchmarks.corpus.source import Edit, SourceFile, call_of, called

ALTERNATIVES = ()
SYMPTOM = "validation is worse and noisier than it should be: dropout is on, or batch statistics are used and updated"
FIX = "call eval() before validation"


def edits(source: SourceFile) -> list[Edit]:
    """Delete the statements `x.eval()`."""
    found = []
    for body in source.blocks():
        for statement in body:
            call = call_of(statement)
            if call is not None and called(call) == "eval" and not call.args and len(body) > 1 and source.own_lines(statement):
                found.append(source.delete(statement))
    return found
