"""ENV103 env-sys-path-edited."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.imports import (
    by_top,
    certain,
    half_installed,
    judged,
    label,
    located,
    module_file,
    off_by_edit,
    shown,
)

if TYPE_CHECKING:
    from cognate.case.schema import ImportTrace, ModulePlace

_WINNER = {
    "file": "/old/tokenizers",
    "kind": "package",
    "entry": "/old",
    "origin": "edit",
    "by": "/work/train.py:3",
    "owner": "first-party",
}
_LOSER = {
    "file": "/py/site-packages/tokenizers",
    "kind": "package",
    "owner": "installed",
    "distribution": "tokenizers",
    "version": "0.21.0",
}
_ROW = {
    "module": "tokenizers",
    "statement": "import tokenizers",
    "file": "/work/train.py",
    "line": 5,
    "status": "found",
    "winner": _WINNER,
}


@rule(
    code="ENV103",
    name="env-sys-path-edited",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    explains={"env-duplicate-distribution", "env-import-failed", "env-name-missing", "env-version-conflict"},
    subjects={"run", "script"},
    fires=Example(environment={"cwd": "/work", "imports": [{**_ROW, "losers": [_LOSER]}]}),
    # The edit only adds what nothing else on the path offers.
    quiet=Example(environment={"cwd": "/work", "imports": [_ROW]}),
)
def env_sys_path_edited(case: Case) -> Iterator[Said]:
    """A sys.path edit or the variable PYTHONPATH decides which file an import gets; without it another would be taken.

    `sys.path.insert(0, …)` and PYTHONPATH come before everything installed: an old checkout, a copy of a library, or
    the site-packages of another environment then wins silently, and assigning sys.path anew can hide what is installed.
    """
    seen = 0
    gone: dict[str, ImportTrace] = {}
    for name, row in by_top(judged(case)).items():
        seen += 1
        if row.get("own_project"):
            continue
        if row.get("status") == "missing":
            if off_by_edit(row) and not half_installed(case, row):
                gone[name] = row
        elif row.get("winner", {}).get("origin") in ("edit", "PYTHONPATH", "pth") and row.get("losers"):
            yield _decided(case, name, row)
    if gone:
        yield _hidden(case, gone)
    edits = len(case.environment.get("path_edits", []))
    yield Clear(f"{edits} edits of sys.path in the source; none decides between two files for {seen} imported names")


def _decided(case: Case, name: str, row: ImportTrace) -> Finding:
    winner, loser = row["winner"], row["losers"][0]
    by = _by(case, winner)
    wants = row.get("wants", [])
    evidence = [
        Evidence(f"`{row['statement'] or name}` loads", module_file(winner), source=winner.get("entry", "")),
        Evidence(f"without {by}, {name} resolves to", module_file(loser), source=loser.get("entry", "")),
    ]
    if wants:
        names = ", ".join(dict.fromkeys(want["name"] for want in wants))
        evidence.append(Evidence(f"{shown(case, winner['file'])} does not define", names))
    mine = f"{winner['distribution']} {winner['version']} in " if winner.get("distribution") else ""
    return Finding(
        title=f"{by} makes {name} load {mine}{shown(case, module_file(winner))}, not {label(loser, name)}",
        proof=Proof.MEASUREMENT,
        evidence=tuple(evidence),
        fix=_fix(winner.get("origin", ""), by),
        location=_place(case, row, winner),
        severity=Severity.ERROR if wants else Severity.WARNING,
    )


def _hidden(case: Case, gone: dict[str, ImportTrace]) -> Finding:
    """One finding for everything that edits have taken off the path, told by an installed package where there is one."""
    name, row = min(gone.items(), key=lambda item: item[1]["counterfactual"]["then"].get("owner") != "installed")
    then: ModulePlace = row["counterfactual"]["then"]
    edits = [e for e in case.environment.get("path_edits", []) if e["action"] in ("assign", "remove", "pop", "replace")]
    edit = edits[-1] if edits else None
    by = f"{shown(case, edit['file'])}:{edit['line']}" if edit else "an edit of sys.path"
    others = f" (nor {', '.join(sorted(set(gone) - {name})[:3])})" if len(gone) > 1 else ""
    return Finding(
        title=f"{by} takes {then.get('entry', 'its folder')} off sys.path: {label(then, name)} is not found{others}",
        proof=Proof.MEASUREMENT,
        evidence=(
            *((Evidence("edit", edit["text"], source=by),) if edit else ()),
            Evidence(f"without the edit, {name} resolves to", module_file(then)),
        ),
        fix=_fix("edit", by),
        location=located(case, edit["file"], edit["line"]) if edit else located(case, row["file"], row["line"]),
        severity=Severity.ERROR if any(certain(item) for item in gone.values()) else Severity.WARNING,
    )


def _by(case: Case, winner: ModulePlace) -> str:
    if winner.get("origin") == "PYTHONPATH":
        return f"PYTHONPATH ({winner.get('entry', '')})"
    if winner.get("origin") == "pth":
        return f"The .pth line {winner.get('by', '')}"
    return f"The sys.path edit in {shown(case, winner.get('by', ''))}"


def _fix(origin: str, by: str) -> Fix:
    if origin == "PYTHONPATH":
        return Fix(
            "Take the folder out of PYTHONPATH for this run: `unset PYTHONPATH`, or drop that one entry.",
            (),
            ("unset PYTHONPATH",),
        )
    if origin == "pth":
        return Fix(f"Remove the line from the .pth file ({by.removeprefix('The .pth line ')}).")
    return Fix(
        f"Remove {by[:1].lower()}{by[1:]}, or append instead of inserting in front.",
        ("Install your own package with `pip install -e` instead of editing sys.path.",),
    )


def _place(case: Case, row: ImportTrace, winner: ModulePlace) -> Location | None:
    file, _, line = winner.get("by", "").rpartition(":")
    if winner.get("origin") == "edit" and line.isdigit():
        return located(case, file, int(line))
    return located(case, row["file"], row["line"])
