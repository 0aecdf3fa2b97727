"""No seed is set."""

from __future__ import annotations

from benchmarks.corpus.source import Edit, SourceFile, call_of

ALTERNATIVES = ()
SYMPTOM = "two runs of the same command print different numbers"
FIX = "set the seeds at the start"
OUTCOME = {"kind": "determinism"}


SEEDS = (
    "torch.manual_seed",
    "random.seed",
    "np.random.seed",
    "numpy.random.seed",
    "set_seed",
    "seed_everything",
    "L.seed_everything",
)


def edits(source: SourceFile) -> list[Edit]:
    """Delete the statements that seed a global generator."""
    found = []
    for body in source.blocks():
        seeds = [item for item in body if (call := call_of(item)) is not None and source.code(call.func) in SEEDS]
        if len(seeds) < len(body):
            found += [source.delete(statement) for statement in seeds if source.own_lines(statement)]
    return found
