"""ENV142 env-ascii-output."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {
    "kind": "ascii-output",
    "file": "/work/train.py",
    "line": 9,
    "text": "print('✓ done')",
    "encoding": "ascii",
    "by": "PYTHONIOENCODING=ascii",
    "character": "✓",
}


@rule(
    code="ENV142",
    name="env-ascii-output",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_ascii_output(case: Case) -> Iterator[Said]:
    """The output's encoding cannot hold what the script prints: UnicodeEncodeError at the first such line.

    A variable (PYTHONIOENCODING, PYTHONUTF8=0, LC_ALL) sets ASCII, latin-1 or cp1252. It often differs between a terminal,
    cron, a container and a job queue.
    """
    for item in around(case, "ascii-output"):
        yield Finding(
            title=f"{item['by']} makes stdout {item['encoding']}, and line {item['line']} prints "
            f"{item['character']!r}: UnicodeEncodeError",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("prints", item["text"], source=f"{shown(case, item['file'])}:{item['line']}"),
                Evidence("encoding of stdout", item["encoding"], "utf-8", item["by"]),
            ),
            fix=Fix("Use UTF-8: `export PYTHONUTF8=1`, and unset PYTHONIOENCODING.", (), ("export PYTHONUTF8=1",)),
            location=place_of(case, item),
        )
    yield Clear("stdout can hold what the script prints")
