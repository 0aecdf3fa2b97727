"""ENV108 env-circular-import."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import judged, located, shown, weight

_ROW = {
    "module": "model",
    "statement": "from model import Net",
    "file": "/work/data.py",
    "line": 1,
    "status": "found",
    "reached": True,
    "winner": {"file": "/work/model.py", "owner": "first-party"},
}
_CYCLE = {"name": "Net", "file": "/work/model.py", "line": 1, "asked_at": "/work/data.py:1", "text": "import data"}


@rule(
    code="ENV108",
    name="env-circular-import",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error"},
    fires=Example(environment={"cwd": "/work", "imports": [{**_ROW, "cycle": _CYCLE}]}),
    # The two modules import each other, but the name is defined before the import that closes the circle.
    quiet=Example(environment={"cwd": "/work", "imports": [_ROW]}),
)
def env_circular_import(case: Case) -> Iterator[Said]:
    """Two of your own modules import each other, and one asks for a name that the other has not defined yet.

    Python then says "cannot import name … from partially initialized module (most likely due to a circular import)". An
    import inside a function, or of the module instead of the name, runs later and does no harm.
    """
    seen = 0
    for row in judged(case):
        seen += 1
        cycle = row.get("cycle")
        if not cycle or row.get("losers"):
            continue
        half = shown(case, cycle["file"])
        asking, _, line = cycle["asked_at"].rpartition(":")
        yield Finding(
            title=f"Circular import: {shown(case, asking)} asks {half} for {cycle['name']} while {half} is still being loaded",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(f"{half} is partially initialized at", cycle["text"], source=f"{half}:{cycle['line']}"),
                Evidence("which leads to", row["statement"], source=f"{shown(case, row['file'])}:{row['line']}"),
                Evidence(f"{cycle['name']} is defined", f"only after line {cycle['line']} of {half}"),
            ),
            fix=Fix(
                f"Move what both need ({cycle['name']}) into a module of its own that imports neither.",
                (f"Or import inside the function that uses it, or write `import {PurePath(cycle['file']).stem}`.",),
            ),
            location=located(case, asking, int(line) if line.isdigit() else None),
            severity=weight(row),
        )
    yield Clear(f"{seen} imports, none asks a module that is still being loaded for a name it has not defined")
