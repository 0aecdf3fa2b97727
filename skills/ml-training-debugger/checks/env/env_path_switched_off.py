"""ENV118 env-path-switched-off."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import judged, located, module_file, shown, top, weight

_ROW = {
    "module": "helpers",
    "statement": "import helpers",
    "file": "/work/train.py",
    "line": 1,
    "status": "missing",
    "missing": "helpers",
    "switched_off": {"by": "the flag -I", "then": {"file": "/work/helpers.py", "kind": "module", "entry": "/work"}},
}


@rule(
    code="ENV118",
    name="env-path-switched-off",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-import-missing"},
    fires=Example(environment={"cwd": "/work", "imports": [_ROW]}),
    # The same flag, and nothing is missing: it only keeps a shadow away.
    quiet=Example(environment={"cwd": "/work", "imports": [{**_ROW, "status": "found", "switched_off": {}, "winner": {}}]}),
)
def env_path_switched_off(case: Case) -> Iterator[Said]:
    """A flag or a variable takes the folder off the path that holds what the script imports.

    -I, -P and PYTHONSAFEPATH leave out the script's own folder; -s and PYTHONNOUSERSITE the user's packages; -S all
    installed ones; -I and -E ignore PYTHONPATH.
    """
    done: set[str] = set()
    for row in judged(case):
        off = row.get("switched_off")
        if not off or row.get("status") != "missing" or top(row) in done:
            continue
        done.add(top(row))
        yield Finding(
            title=f"{off['by'][:1].upper()}{off['by'][1:]} takes {shown(case, off['then']['entry'])} off the path: "
            f"{top(row)} is not found",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("import", row["statement"], source=f"{shown(case, row['file'])}:{row['line']}"),
                Evidence(f"without {off['by']}, {top(row)} resolves to", module_file(off["then"])),
            ),
            fix=Fix(f"Start the script without {off['by']}."),
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    yield Clear("no flag or variable hides an import that is missing")
