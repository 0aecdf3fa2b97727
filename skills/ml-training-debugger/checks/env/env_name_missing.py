"""ENV127 env-name-missing."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import broken, chain_evidence, judged, located, pip_install, shown, weight

_WINNER = {
    "file": "/py/site-packages/datasets",
    "kind": "package",
    "owner": "installed",
    "distribution": "datasets",
    "version": "4.0.0",
}
_ROW = {
    "module": "datasets",
    "statement": "from datasets import load_metric",
    "file": "/work/train.py",
    "line": 3,
    "status": "found",
    "reached": True,
    "winner": _WINNER,
}
_LINK = {
    "file": "/py/site-packages/datasets/__init__.py",
    "line": 0,
    "module": "datasets.load_metric",
    "reason": "name",
    "detail": "/py/site-packages/datasets/__init__.py defines no load_metric",
}


@rule(
    code="ENV127",
    name="env-name-missing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-import-missing", "env-broken-transitive"},
    fires=Example(environment={"cwd": "/work", "imports": [{**_ROW, "breaks_at": [_LINK]}]}),
    quiet=Example(environment={"cwd": "/work", "imports": [_ROW]}),
)
def env_name_missing(case: Case) -> Iterator[Said]:
    """A name or submodule is imported that the installed version of the package does not have.

    It was removed, renamed or moved in another version ("cannot import name …"): the code and the package are of different
    ages. The same between two packages is a pair of versions that does not fit.
    """
    for row, link in broken(case, "name"):
        holder = row.get("winner", {})
        deep = len(row.get("breaks_at", [])) > 1
        module, _, name = link["module"].rpartition(".")
        version = f"{holder['distribution']} {holder.get('version', '')}".strip() if holder.get("distribution") else module
        said = row["statement"] if not deep else f"{shown(case, row['breaks_at'][-2]['file'])}"
        first = holder.get("distribution", module.partition(".")[0])
        command = pip_install(case, "--upgrade", first, *([module.partition(".")[0]] if deep else []))
        yield Finding(
            title=f"cannot import name {name} from {module}: the installed {version} does not define it"
            if not deep
            else f"{version} imports {name} from {module}, whose installed version does not define it (asked in {said})",
            proof=Proof.MEASUREMENT,
            evidence=chain_evidence(case, row),
            fix=Fix(
                f"Use the name that this version has, or install the version that the code was written for, "
                f"`{pip_install(case, first + '==VERSION')}`."
                if not deep
                else f"Bring both to versions that fit: `{command}`.",
                (),
                (command,) if deep else (),
            ),
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    for row in judged(case):
        holder = row.get("winner", {})
        if row.get("status") != "missing" or holder.get("owner") != "installed" or "." not in row.get("missing", ""):
            continue
        if (
            row.get("breaks_at")
            or not holder.get("file")
            or any(row["missing"].replace(".", "/") in file for file in _gone(case))
        ):
            continue
        version = f"{holder.get('distribution', row['module'].partition('.')[0])} {holder.get('version', '')}".strip()
        yield Finding(
            title=f"No module named {row['missing']}: the installed {version} has no such submodule",
            proof=Proof.MEASUREMENT,
            evidence=chain_evidence(case, row),
            fix=Fix(
                f"Correct the import, or install the version that has it: "
                f"`{pip_install(case, version.split()[0] + '==VERSION')}`."
            ),
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    yield Clear("every name that is asked of an installed package is defined there")


def _gone(case: Case) -> list[str]:
    return [
        file for item in case.environment.get("troubles", []) if item.get("kind") == "missing-files" for file in item["files"]
    ]
