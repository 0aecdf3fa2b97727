"""ENV149 env-variable-unset."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {
    "kind": "variable-unset",
    "variable": "DATA_ROOT",
    "name": "DATA_ROOT",
    "file": "/work/train.py",
    "line": 3,
    "text": "os.environ['DATA_ROOT']",
}


@rule(
    code="ENV149",
    name="env-variable-unset",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_variable_unset(case: Case) -> Iterator[Said]:
    """The script reads an environment variable that is not set, without a default: KeyError.

    It is set in another shell, a .env file that nothing loads, or a job script. os.environ.get(NAME, DEFAULT) would not fail.
    """
    for item in around(case, "variable-unset"):
        yield Finding(
            title=f"line {item['line']} needs the environment variable {item['variable']}, which is not set: KeyError",
            proof=Proof.SOURCE,
            evidence=(Evidence("read", item["text"], source=f"{shown(case, item['file'])}:{item['line']}"),),
            fix=Fix(f"Set it: `export {item['variable']}=…`, or give it a default in the script."),
            location=place_of(case, item),
            severity=Severity.ERROR if item.get("certain", True) else Severity.WARNING,
        )
    yield Clear("every variable that the script needs is set")
