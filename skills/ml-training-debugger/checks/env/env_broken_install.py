"""ENV106 env-broken-install."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import judged, pip_install, top

if TYPE_CHECKING:
    from cognate.case.schema import DistributionTrouble

_TROUBLE = {
    "kind": "missing-files",
    "name": "datasets",
    "version": "4.0.0",
    "location": "/py/site-packages",
    "imports": ["datasets"],
    "files": ["datasets/__init__.py"],
    "count": 60,
    "total": 60,
}


@rule(
    code="ENV106",
    name="env-broken-install",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    explains={"env-import-failed", "env-broken-transitive", "env-swallowed-import-error"},
    subjects={"run", "script", "environment"},
    core=True,
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "datasets", "version": "4.0.0"}]}),
)
def env_broken_install(case: Case) -> Iterator[Said]:
    """An installation is half gone: metadata without its files, leftovers of an interrupted pip, a missing requirement.

    pip lists what has metadata, Python imports what has files. A killed `pip install`, a full disk, a copied or pruned
    environment, or `--no-deps` leaves one without the other.
    """
    missing = {top(row) for row in judged(case) if row.get("status") == "missing"}
    covered: set[str] = set()
    for trouble in case.environment.get("troubles", []):
        finding = {
            "missing-files": _files,
            "leftover": _leftover,
            "missing-requirement": _requirement,
        }.get(trouble.get("kind", ""), lambda *_: None)(case, trouble, missing)
        if finding is not None:
            covered.update(trouble.get("imports", []))
            yield finding
    for row in judged(case):
        place = row.get("winner", {})
        name = top(row)
        if row.get("status") == "missing" and place.get("distribution") and "file" not in place and name not in covered:
            covered.add(name)
            yield _without_module(case, name, str(place["distribution"]), str(place.get("version", "")))
    count = len(case.environment.get("distributions", []))
    yield Clear(f"{count} distributions; those that the script imports have the files that they list")


def _reinstall(case: Case, name: str, version: str) -> Fix:
    pinned = f"{name}=={version}" if version else name
    command = pip_install(case, "--force-reinstall", "--no-deps", pinned)
    return Fix(f"Install it anew: `{command}`.", (), (command,))


def _files(case: Case, trouble: DistributionTrouble, missing: set[str]) -> Finding:
    name, version = trouble["name"], trouble["version"]
    files = trouble["files"]
    roots = {f"{module}{ending}" for module in trouble["imports"] for ending in ("/__init__.py", ".py")}
    fatal = bool(roots & set(files)) or bool(missing & set(trouble["imports"]))
    return Finding(
        title=f"{name} {version} is half installed: {trouble['count']} of its {trouble['total']} module files are gone",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("missing", ", ".join(files[:3]), "every file that RECORD lists", trouble["location"]),
            Evidence("imported by the script as", ", ".join(trouble["imports"])),
        ),
        fix=_reinstall(case, name, version),
        severity=Severity.ERROR if fatal else Severity.WARNING,
    )


def _leftover(case: Case, trouble: DistributionTrouble, missing: set[str]) -> Finding:
    hit = sorted(missing & set(trouble["imports"]))
    names = ", ".join(trouble["files"][:3])
    if hit:
        return Finding(
            title=f"An interrupted pip left {names} in {trouble['location']} and took {hit[0]} away",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("left over", names, source=trouble["location"]),),
            fix=_reinstall(case, hit[0], ""),
        )
    return Finding(
        title=f"An interrupted pip left {names} in {trouble['location']}; nothing imports it",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("left over", names, source=trouble["location"]),),
        fix=Fix("Delete the folders whose names begin with ~."),
        severity=Severity.INFO,
    )


def _requirement(case: Case, trouble: DistributionTrouble, missing: set[str]) -> Finding:
    name, version, requires = trouble["name"], trouble["version"], trouble["requires"]
    user = trouble.get("importer")
    command = pip_install(case, requires)
    severity = Severity.INFO if user is None else Severity.ERROR if user.get("certain") else Severity.WARNING
    return Finding(
        title=f"{name} {version} is installed without {requires}, which it requires",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("required by", f"{name} {version}", source=trouble["location"]),
            *((Evidence("imported at", f"{user['file']}:{user['line']}"),) if user else ()),
        ),
        fix=Fix(f"Install what is missing: `{command}`.", (), (command,)),
        severity=severity,
    )


def _without_module(case: Case, module: str, name: str, version: str) -> Finding:
    return Finding(
        title=f"{name} {version} has metadata, so that pip lists it, but no module {module} is there",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence(f"files of {module}", "none", "those of the distribution"),),
        fix=_reinstall(case, name, version),
    )
