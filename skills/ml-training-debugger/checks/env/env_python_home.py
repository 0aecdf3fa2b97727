"""ENV150 env-python-home."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around

_ROW = {
    "kind": "python-home",
    "variable": "PYTHONHOME",
    "value": "/opt/python39",
    "text": "Python looks for its standard library below /opt/python39",
    "wanted": "/usr",
}


@rule(
    code="ENV150",
    name="env-python-home",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script", "environment"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-import-missing"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_python_home(case: Case) -> Iterator[Said]:
    """PYTHONHOME points to another installation than the interpreter's own: it loads the wrong standard library, or none.

    "Fatal Python error: init_fs_encoding … No module named 'encodings'", or modules of another version. It is hardly ever needed.
    """
    for item in around(case, "python-home"):
        yield Finding(
            title=f"PYTHONHOME={item['value']} sends the interpreter to a foreign standard library: {item['text']}",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("PYTHONHOME", item["value"], f"unset, or {item['wanted']}"),),
            fix=Fix("Unset it: `unset PYTHONHOME`.", (), ("unset PYTHONHOME",)),
        )
    yield Clear("PYTHONHOME is unset, or the interpreter's own")
