"""ENV141 env-asserts-off."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {
    "kind": "asserts-off",
    "variable": "PYTHONOPTIMIZE",
    "by": "PYTHONOPTIMIZE=1",
    "count": 3,
    "file": "/work/train.py",
    "line": 9,
    "text": "assert len(x) == len(y)",
}


@rule(
    code="ENV141",
    name="env-asserts-off",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_asserts_off(case: Case) -> Iterator[Said]:
    """-O or PYTHONOPTIMIZE strips every assert of the code: its checks never run.

    What the assert calls is not called either, so that code inside it has no effect.
    """
    for item in around(case, "asserts-off"):
        called = "(" in item["text"].partition("assert ")[2].partition(",")[0]
        yield Finding(
            title=f"{item['by']} strips the assert statements: {item['count']} checks of the script never run, the "
            f"first in line {item['line']}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("never run", item["text"], source=f"{shown(case, item['file'])}:{item['line']}"),
                Evidence("because of", item["by"]),
            ),
            fix=Fix(
                "Unset it: `unset PYTHONOPTIMIZE`, or start without -O.",
                ("Where code must run, raise an exception instead of asserting.",) if called else (),
            ),
            location=place_of(case, item),
        )
    yield Clear("assert statements are kept, or there are none")
