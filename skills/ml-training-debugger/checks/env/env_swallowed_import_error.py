"""ENV105 env-swallowed-import-error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import fails_aloud, judged, located, pip_install, shown, told_elsewhere, top

if TYPE_CHECKING:
    from cognate.case.schema import ImportTrace

_ROW = {
    "module": "datasets",
    "statement": "from datasets import load_dataset",
    "file": "/work/train.py",
    "line": 3,
    "status": "missing",
    "missing": "datasets",
    "install": "datasets",
}
_GUARD = {"line": 2, "catches": ["ImportError"], "does": "none", "message": None, "sets": ["load_dataset"]}


@rule(
    code="ENV105",
    name="env-swallowed-import-error",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    fires=Example(
        environment={
            "cwd": "/work",
            "imports": [{**_ROW, "guard": {**_GUARD, "use": {"line": 9, "text": "load_dataset('x')"}}}],
        }
    ),
    # Every use stands behind a test of the name.
    quiet=Example(environment={"cwd": "/work", "imports": [{**_ROW, "guard": _GUARD}]}),
)
def env_swallowed_import_error(case: Case) -> Iterator[Said]:
    """An except clause swallows the ImportError of something that the script then uses, or hides why it failed.

    `try: import X / except ImportError: X = None` moves the failure to the first use ("'NoneType' object is not
    callable"), and a handler that prints "X is not installed" is wrong where X is there and something that X imports
    is not.
    """
    guarded = 0
    for row in judged(case):
        guard = row.get("guard")
        if guard is None or fails_aloud(row):
            continue
        guarded += 1
        if row.get("breaks_at"):
            yield _broken_below(case, row)
        elif row.get("status") == "missing" and guard.get("use") and not told_elsewhere(case, row):
            yield _used(case, row)
    yield Clear(f"{guarded} guarded imports; none hides a failure that the script then meets")


def _said(row: ImportTrace) -> tuple[Evidence, ...]:
    message = row["guard"].get("message")
    return (Evidence("the handler says instead", message, source=f"line {row['guard']['line']}"),) if message else ()


def _used(case: Case, row: ImportTrace) -> Finding:
    use = row["guard"]["use"]
    name = top(row)
    file = shown(case, row["file"])
    command = pip_install(case, row.get("install", name))
    return Finding(
        title=f"{name} cannot be imported, the handler hides it, and line {use['line']} uses it nonetheless",
        proof=Proof.SOURCE,
        evidence=(
            Evidence("import", row["statement"], source=f"{file}:{row['line']}"),
            Evidence("why it fails", row.get("why", "it is found nowhere on the path")),
            *_said(row),
            Evidence("first use", use["text"], source=f"{file}:{use['line']}"),
        ),
        fix=Fix(
            f"Install it, `{command}`, or let the handler raise.",
            ("Where it is optional, test the name before every use.",),
            (command,),
        ),
        location=located(case, row["file"], row["line"]),
    )


def _broken_below(case: Case, row: ImportTrace) -> Finding:
    chain = row["breaks_at"]
    last = chain[-1]
    place = f"{shown(case, last['file'])}:{last['line']}"
    return Finding(
        title=f"{row['module']} is there, but {place} imports {last['module']}, which is missing; "
        f"the handler in line {row['guard']['line']} hides that",
        proof=Proof.SOURCE,
        evidence=(
            Evidence("import", row["statement"], source=f"{shown(case, row['file'])}:{row['line']}"),
            *(
                Evidence(
                    f"it imports {link['module']}",
                    "found" if link is not last else "missing",
                    "found",
                    f"{shown(case, link['file'])}:{link['line']}",
                )
                for link in chain
            ),
            *_said(row),
        ),
        fix=Fix(
            f"Make {last['module']} importable, and let the handler say what failed.",
            ("Catch ModuleNotFoundError and compare its name, so that other failures stay visible.",),
        ),
        location=located(case, last["file"], last["line"]),
        severity=_severity(row),
    )


def _severity(row: ImportTrace) -> Severity:
    """A silent fallback may be meant; a message misleads; a later use fails."""
    if row["guard"].get("use"):
        return Severity.ERROR
    return Severity.WARNING if row["guard"].get("message") else Severity.INFO
