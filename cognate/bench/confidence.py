"""Writes the file that `cognate.diagnosis.confidence` reads: how often each rule was right, by the proof it had.

Only the test part is counted. The development part is what rules are tuned on: there a rule is right because it was made
so, and its precision says nothing about the next program. The counts are exact; the reader adds its prior for small ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from cognate.bench.corpus import Program
from cognate.bench.score import Scored
from cognate.errors import UsageError
from cognate.version import __version__

SCHEMA = "cognate.confidence/1"
PART = "test"


def counts(items: Iterable[Scored]) -> dict[str, dict[str, list[int]]]:
    """`{rule: {proof: [right, fired]}}` over programs, not findings: a rule that says a thing twice said it once."""
    table: dict[str, dict[str, list[int]]] = {}
    for item in items:
        for name, proof, right in item.claims:
            cell = table.setdefault(name, {}).setdefault(proof, [0, 0])
            cell[0] += right
            cell[1] += 1
    return {name: dict(sorted(table[name].items())) for name in sorted(table)}


def document(items: Sequence[Scored], programs: Iterable[Program], corpus: str, versions: Mapping[str, str]) -> str:
    """The file's text: the same for the same results.

    Raises UsageError where the corpus has no test part, or where not all of it was run.
    """
    wanted = {program.id for program in programs if program.part == PART}
    tested = [item for item in items if item.program.part == PART]
    if not wanted:
        raise UsageError(f"No program of the corpus is in the part {PART!r}, and only that one may say how sure a rule is.")
    if len(tested) < len(wanted):
        raise UsageError(
            f"--confidence counts the whole {PART} part, but {len(wanted) - len(tested)} of its {len(wanted)} programs were "
            "left out: take away --family, --style, --only, --fast and --part dev."
        )
    head = {
        "schema": SCHEMA,
        "corpus": corpus,
        "part": PART,
        "programs": len(tested),
        "versions": {"cognate": __version__, **versions},
    }
    rules = ",\n".join(f"  {json.dumps(name)}: {json.dumps(cells)}" for name, cells in counts(tested).items())
    return json.dumps(head, indent=1).removesuffix("\n}") + f',\n "rules": {{\n{rules}\n }}\n}}\n'
