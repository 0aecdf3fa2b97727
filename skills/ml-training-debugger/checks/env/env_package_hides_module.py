"""ENV109 env-package-hides-module."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import by_top, certain, fails_aloud, judged, located, rename, shown

_PLACE = {"file": "/work/utils", "kind": "package", "owner": "first-party", "origin": "script", "entry": "/work"}
_ROW = {
    "module": "utils",
    "statement": "from utils import seed",
    "file": "/work/train.py",
    "line": 2,
    "status": "found",
    "winner": {**_PLACE, "beside": "/work/utils.py"},
}


@rule(
    code="ENV109",
    name="env-package-hides-module",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error"},
    fires=Example(
        environment={"cwd": "/work", "imports": [{**_ROW, "wants": [{"name": "seed", "file": "/work/train.py", "line": 2}]}]}
    ),
    # Both are there, and the package has what is asked for.
    quiet=Example(environment={"cwd": "/work", "imports": [{**_ROW, "wants": []}]}),
)
def env_package_hides_module(case: Case) -> Iterator[Said]:
    """A folder or a compiled file hides the source file of the same name beside it.

    Of utils/ (with __init__.py), utils.cpython-311.so and utils.py in one folder, Python takes them in this order and
    never looks at the next: edits of utils.py then have no effect, and names that only it defines are not found.
    """
    seen = 0
    for name, row in by_top(judged(case)).items():
        winner = row.get("winner", {})
        if not winner.get("beside"):
            continue
        seen += 1
        wants = row.get("wants", [])
        if not wants and winner.get("kind") != "extension":
            continue
        taken, hidden = shown(case, winner["file"]), shown(case, winner["beside"])
        names = ", ".join(dict.fromkeys(item["name"] for item in wants))
        command, _ = rename(case, {**winner, "file": winner["beside"], "kind": "module"}, name)
        yield Finding(
            title=f"`import {name}` loads {taken}, which hides {hidden} of the same name"
            + (f": {names} is not found" if names else ""),
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(f"`{row['statement']}` loads", winner["file"], source=f"{shown(case, row['file'])}:{row['line']}"),
                Evidence("never looked at", winner["beside"]),
                *((Evidence(f"{taken} does not define", names),) if names else ()),
            ),
            fix=Fix(f"Let one of the two have another name: `{command}`.", (), (command,)),
            location=located(case, row["file"], row["line"]),
            severity=Severity.ERROR if names and fails_aloud(row) and certain(row) else Severity.WARNING,
        )
    yield Clear(f"{seen} modules have a namesake in their own folder; none hides what is asked for")
