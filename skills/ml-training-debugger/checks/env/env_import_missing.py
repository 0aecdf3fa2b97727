"""ENV102 env-import-missing."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, Skip, rule
from cognate.rules.imports import fails_aloud, judged, located, pip_install, python, shown, told_elsewhere, weight

if TYPE_CHECKING:
    from cognate.case.schema import ImportTrace

_ROW = {
    "module": "yaml",
    "statement": "import yaml",
    "file": "/work/train.py",
    "line": 2,
    "status": "missing",
    "missing": "yaml",
    "install": "PyYAML",
    "reached": True,
}


@rule(
    code="ENV102",
    name="env-import-missing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    explains={"env-import-failed"},
    subjects={"run", "script"},
    core=True,
    fires=Example(environment={"cwd": "/work", "imports": [_ROW]}),
    # A guarded optional import with a working fallback.
    quiet=Example(environment={"cwd": "/work", "imports": [{**_ROW, "guard": {"line": 1, "does": "fallback", "sets": []}}]}),
)
def env_import_missing(case: Case) -> Iterator[Said]:
    """An import that the script needs is found nowhere on this interpreter's path: ModuleNotFoundError.

    Usual reasons: the package is installed in another environment; the package's name differs from the import's (cv2,
    sklearn, yaml); the module is the project's own, but the script's folder, not the project's, is on the path; a
    folder without __init__.py bears the name; a relative import in a file that is run as a script.
    """
    rows = judged(case)
    done: set[str] = set()
    for row in rows:
        missing = row.get("missing", row["module"])
        if row.get("status") != "missing" or not fails_aloud(row) or missing in done:
            continue
        if told_elsewhere(case, row) or _caught_above(rows, row):
            continue
        done.add(missing)
        title, evidence, fix = _explain(case, row, missing)
        yield Finding(
            title=title,
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("import", row["statement"], source=f"{shown(case, row['file'])}:{row['line']}"),
                *evidence,
            ),
            fix=fix,
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    unknown = [row for row in rows if row.get("status") == "unknown" and fails_aloud(row)]
    if unknown:
        names = ", ".join(sorted({row.get("missing", row["module"]) for row in unknown})[:3])
        yield Skip(f"{names}: {unknown[0].get('why', 'the path is not known')}", "observe it: `cognate run SCRIPT`")
    absent = [row for row in rows if row.get("status") == "missing"]
    yield Clear(f"{len(rows)} imports, all found" if not absent else f"{len(rows)} imports, none simply not installed")


def _caught_above(rows: list[ImportTrace], row: ImportTrace) -> bool:
    """Whether only guarded imports of other files lead here, so that the script goes on without it."""
    leading = [other for other in rows if any((b["file"], b["line"]) == (row["file"], row["line"]) for b in _chain(other))]
    return bool(leading) and not any(fails_aloud(other) for other in leading)


def _chain(row: ImportTrace) -> list[dict[str, Any]]:
    return row.get("breaks_at", [])


def _explain(case: Case, row: ImportTrace, missing: str) -> tuple[str, tuple[Evidence, ...], Fix | None]:
    executable = str(case.environment.get("python", {}).get("executable", "this interpreter"))
    where = Evidence("interpreter", executable)
    why = (Evidence("why", row["why"]),) if row.get("why") else ()
    name = PurePath(row["file"]).name
    if missing.startswith("."):
        return _relative(case, row, name)
    project = next((item for item in row.get("elsewhere", []) if item["kind"] == "project"), None)
    if project is not None:
        return _off_path(case, row, missing, project)
    if "." in missing:
        title = f"{name} imports {missing}, which does not exist: {row.get('why', 'it is not there')}"
        return title, why, Fix(f"Create the module {missing}, or correct the import in line {row['line']}.")
    near = next(iter(row.get("similar", [])), None)
    if near is not None:
        return _near(case, row, missing, near)
    install = row.get("install", missing)
    command = pip_install(case, install)
    fix = Fix(f"Install it into exactly this interpreter: `{command}`.", (), (command,))
    if row.get("wants") and row.get("winner", {}).get("kind") == "namespace":
        folder = shown(case, row["winner"]["file"])
        title = f"`{row['statement']}` finds only the folder {folder}, which is no package: {install} is not installed"
        return title, (where, *why), fix
    title = f"{name} imports {missing}, which is not installed for {executable}"
    return title, (where,), fix


def _near(case: Case, row: ImportTrace, missing: str, near: dict[str, str]) -> tuple[str, tuple[Evidence, ...], Fix]:
    name = PurePath(row["file"]).name
    if near["kind"] == "renamed":
        title = f"{name} imports {missing}, which is not installed; {near['distribution']} is, and its module is {near['name']}"
        command = pip_install(case, row.get("install", missing))
        return title, (), Fix(f"Import {near['name']} instead, or install the other one: `{command}`.", (), (command,))
    file = shown(case, near["file"])
    title = f"{name} imports {missing}, but the file is spelt {file}: a name must match to the letter"
    if not near["name"].isidentifier():
        title = f"{name} imports {missing}, but the file is called {file}, a name that no import can spell"
    target = PurePath(file).with_name(missing + PurePath(file).suffix).as_posix()
    command = shlex.join(["mv", *(item.removeprefix("./") for item in (file, target))])
    return title, (Evidence("nearest file", near["file"]),), Fix(f"Rename it: `{command}`.", (), (command,))


def _relative(case: Case, row: ImportTrace, name: str) -> tuple[str, tuple[Evidence, ...], Fix]:
    title = f"{name} uses a relative import, but {row.get('why', 'it has no parent package')}"
    folder = PurePath(row["file"]).parent
    command = f"cd {shlex.quote(str(folder.parent))} && {python(case)} -m {folder.name}.{PurePath(row['file']).stem}"
    return title, (), Fix(f"Run it as a module of its package: `{command}`.", (), (command,))


def _off_path(case: Case, row: ImportTrace, missing: str, project: dict[str, str]) -> tuple[str, tuple[Evidence, ...], Fix]:
    first = next(iter(case.environment.get("path", [])), None)
    on_path = first["path"] if first else "another folder"
    title = (
        f"{PurePath(row['file']).name} imports {missing}, which lies in {shown(case, project['root'])}, "
        f"but only {shown(case, on_path)} is on the path"
    )
    evidence = (Evidence("the module lies at", project["file"]), Evidence("first entry of sys.path", on_path))
    words = case.environment.get("command", [])[1:]
    command = f"PYTHONPATH={shlex.quote(project['root'])} {python(case)} {shlex.join(words)}"
    steps = ["For good: install the project, `pip install -e .` in its root, or run the script with `python -m`."]
    return title, evidence, Fix(f"Put the folder on the path: `{command}`.", tuple(steps), (command,))
