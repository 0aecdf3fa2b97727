"""ENV104 env-wrong-interpreter."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import certain, fails_aloud, half_installed, judged, located, meant, off_by_edit, shown, top

if TYPE_CHECKING:
    from cognate.case.schema import ImportTrace

_ROW = {
    "module": "datasets",
    "statement": "import datasets",
    "file": "/work/train.py",
    "line": 2,
    "status": "missing",
    "missing": "datasets",
    "reached": True,
}
_OTHER = {
    "kind": "interpreter",
    "python": "/work/.venv/bin/python",
    "prefix": "/work/.venv",
    "found_by": "/work/.venv beside the code",
    "file": "/work/.venv/lib/python3.11/site-packages/datasets",
}


@rule(
    code="ENV104",
    name="env-wrong-interpreter",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    explains={"env-import-failed"},
    subjects={"run", "script"},
    fires=Example(environment={"cwd": "/work", "imports": [{**_ROW, "elsewhere": [_OTHER]}]}),
    # Another interpreter lies beside the script, but nothing is missing in this one.
    quiet=Example(environment={"cwd": "/work", "imports": [{**_ROW, "status": "found", "winner": {"owner": "installed"}}]}),
)
def env_wrong_interpreter(case: Case) -> Iterator[Said]:
    """The script is run by another Python than the one its packages are installed in.

    `pip install` and `python` may belong to different environments: an inactive .venv beside the script, an IDE's or a
    notebook's kernel, `sudo`, a cron job, a system Python. The package is then installed and missing at the same time.
    """
    groups: dict[str, list[ImportTrace]] = {}
    others: dict[str, dict[str, Any]] = {}
    for row in judged(case):
        if half_installed(case, row) or off_by_edit(row):
            continue
        for other in meant(row)[:1]:
            others[other["python"]] = other
            groups.setdefault(other["python"], []).append(row)
    for python, rows in groups.items():
        yield _finding(case, others[python], rows)
    here = case.environment.get("python", {}).get("executable", "the interpreter")
    yield Clear(f"nothing that {here} lacks is installed in an environment nearby")


def _finding(case: Case, other: dict[str, Any], rows: list[ImportTrace]) -> Finding:
    here = str(case.environment.get("python", {}).get("executable", "this interpreter"))
    names = list(dict.fromkeys(top(row) for row in rows))
    listed = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    verb = "is" if len(names) == 1 else "are"
    first = rows[0]
    words = case.environment.get("command", [])[1:]
    command = f"{shlex.quote(other['python'])} {shlex.join(words)}".strip()
    return Finding(
        title=f"{here} runs the script, but {listed} {verb} installed for {other['python']}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("interpreter", here, source=str(case.environment.get("python", {}).get("chosen_by", ""))),
            Evidence(f"{names[0]} lies at", other["file"], source=other["found_by"]),
            Evidence("import", first["statement"], source=f"{shown(case, first['file'])}:{first['line']}"),
        ),
        fix=Fix(f"Run the script with that interpreter: `{command}`.", (), (command,)),
        location=located(case, first["file"], first["line"]),
        severity=Severity.ERROR if any(fails_aloud(row) and certain(row) for row in rows) else Severity.WARNING,
    )
