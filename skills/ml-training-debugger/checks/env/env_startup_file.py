"""ENV117 env-startup-file."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.imports import shown

_STOP = {
    "kind": "customize",
    "file": "/py/site-packages/sitecustomize.py",
    "by": "PYTHONPATH",
    "line": 2,
    "does": "exit",
    "text": "sys.exit(1)",
}


@rule(
    code="ENV117",
    name="env-startup-file",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script", "environment"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "startup": [_STOP]}),
    # A sitecustomize that runs through (coverage and debuggers install one) is nobody's fault.
    quiet=Example(environment={"cwd": "/work", "startup": []}),
)
def env_startup_file(case: Case) -> Iterator[Said]:
    """A sitecustomize or usercustomize module fails or exits before the script's first line.

    Python loads them at every start. One that exits ends every command without a word of yours being run; one that raises
    is reported as "Error in sitecustomize", and what it should have set up after that line is missing.
    """
    for item in case.environment.get("startup", []):
        if item.get("kind") != "customize":
            continue
        file = shown(case, item["file"])
        exits = item["does"] == "exit"
        yield Finding(
            title=f"{file} is run at every start of Python and "
            + ("exits there: the script never begins" if exits else f"raises in line {item['line']}: {item['text']}"),
            proof=Proof.SOURCE,
            evidence=(Evidence("statement", item["text"], source=f"{file}:{item['line']}"), Evidence("loaded from", item["by"])),
            fix=Fix(f"Repair or remove {file}.", ("`python -I` or `-S` starts without it.",)),
            location=Location(item["file"], item["line"]),
            severity=Severity.ERROR if exits else Severity.WARNING,
        )
    yield Clear("no startup file stops Python")
