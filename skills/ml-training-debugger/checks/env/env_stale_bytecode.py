"""ENV110 env-stale-bytecode."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import broken, by_top, chain_evidence, judged, label, located, module_file, shown

_ROW: dict[str, Any] = {
    "module": "datasets",
    "statement": "import datasets",
    "file": "/work/train.py",
    "line": 1,
    "status": "found",
    "winner": {"file": "/work/datasets.py", "kind": "module", "owner": "first-party", "origin": "script"},
}


@rule(
    code="ENV110",
    name="env-stale-bytecode",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-shadowed-module", "env-swallowed-import-error"},
    fires=Example(
        environment={
            "cwd": "/work",
            "imports": [{**_ROW, "winner": {**_ROW["winner"], "file": "/work/datasets.pyc", "kind": "bytecode"}}],
        }
    ),
    # Source of the same name is there: bytecode in __pycache__ is checked against it.
    quiet=Example(environment={"cwd": "/work", "imports": [_ROW]}),
)
def env_stale_bytecode(case: Case) -> Iterator[Said]:
    """An import loads a .pyc file whose source is gone: code that nobody can read or edit, and perhaps not of this Python.

    A .pyc beside the sources (not in __pycache__) is imported like a module. It stays behind where a source file was
    deleted or renamed, and it can shadow an installed package.
    """
    for name, row in by_top(judged(case)).items():
        winner = row.get("winner", {})
        if winner.get("kind") != "bytecode" or winner.get("owner") == "stdlib":
            continue
        file = shown(case, winner["file"])
        then = row.get("counterfactual", {}).get("then")
        bad = [link for link in row.get("breaks_at", []) if link.get("reason") == "bytecode"]
        command = f"rm {shlex.quote(file.removeprefix('./'))}"
        yield Finding(
            title=f"`{row['statement']}` loads the stale bytecode {file}, whose source file is gone"
            + (f", not {label(then, name)}" if then else ""),
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("loaded", winner["file"], source=winner.get("by", "")),
                *((Evidence(f"without it, {name} resolves to", module_file(then)),) if then else ()),
                *(Evidence("besides", link["detail"]) for link in bad),
            ),
            fix=Fix(f"Delete it: `{command}`.", ("Restore the source from git if you need it.",), (command,)),
            location=located(case, row["file"], row["line"]),
            severity=Severity.ERROR if then or bad else Severity.WARNING,
        )
    for row, link in broken(case, "bytecode"):
        if row.get("winner", {}).get("kind") != "bytecode":
            yield Finding(f"{link['file']} is stale bytecode: {link['detail']}", Proof.MEASUREMENT, chain_evidence(case, row))
    yield Clear("every import loads source or a compiled extension")
