"""ENV148 env-variable-malformed."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around

_ROW = {
    "kind": "variable-malformed",
    "variable": "PYTHONHASHSEED",
    "value": "abc",
    "text": "it must be `random` or a number; Python refuses to start",
    "fatal": True,
}


@rule(
    code="ENV148",
    name="env-variable-malformed",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script", "environment"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-import-missing"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_variable_malformed(case: Case) -> Iterator[Said]:
    """A variable holds a value that is not accepted or not what was meant: Python or a library refuses, or ignores it.

    PYTHONHASHSEED, PYTHONIOENCODING and PYTHONUTF8 stop the interpreter; a tilde, quotes or semicolons in PYTHONPATH are taken
    literally; thread counts and allocator settings are refused later.
    """
    for item in around(case, "variable-malformed", "path-malformed"):
        hit = item.get("modules", [])
        yield Finding(
            title=f"{item['variable']}={item['value']}: {item['text']}"
            + (f", so that {', '.join(hit[:3])} is not found" if hit else ""),
            proof=Proof.MEASUREMENT,
            evidence=(Evidence(item["variable"], item["value"]),),
            fix=Fix(
                f"Correct it, or unset it: `unset {item['variable']}`.", (), (f"unset {item['variable']}",) if not hit else ()
            ),
            severity=Severity.ERROR
            if item.get("fatal") or hit
            else Severity.INFO
            if item["kind"] == "path-malformed"
            else Severity.WARNING,
        )
    yield Clear("no variable that Python or the libraries read is malformed")
