"""ENV115 env-python-version."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, broken, chain_evidence, judged, located, place_of, shown, top, troubles, weight

_PYTHON = {"executable": "/py/bin/python", "version": "3.8.18"}
_SYNTAX = {
    "kind": "syntax",
    "file": "/work/train.py",
    "line": 3,
    "message": "invalid syntax",
    "text": "match x:",
    "needs": "3.10",
}


_FIX = Fix("Run it with a Python that fits: make a virtual environment from one and name its interpreter.")


@rule(
    code="ENV115",
    name="env-python-version",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-import-missing", "env-source-syntax", "env-swallowed-import-error"},
    fires=Example(environment={"cwd": "/work", "python": _PYTHON, "surroundings": [_SYNTAX]}),
    quiet=Example(environment={"cwd": "/work", "python": {**_PYTHON, "version": "3.12.1"}, "surroundings": []}),
)
def env_python_version(case: Case) -> Iterator[Said]:
    """The code or a package needs another version of Python than the interpreter that runs it.

    Newer syntax (match, except*, type statements) does not parse on an older Python; modules such as distutils, imp and
    cgi left newer ones; a distribution's Requires-Python or the project's requires-python excludes this interpreter.
    """
    python = case.environment.get("python", {})
    version, executable = str(python.get("version", "?")), str(python.get("executable", "python"))
    here = Evidence("interpreter", f"{executable}, Python {version}")
    yield from _newer_syntax(case, version, here)
    yield from _removed_modules(case, version, here)
    yield from _missing_names(case, version, here)
    yield from _other_versions(case, version, executable, here)
    yield from _excluded(case, version, here)
    yield Clear(f"nothing that the script imports asks for another Python than {version}")


def _newer_syntax(case: Case, version: str, here: Evidence) -> Iterator[Finding]:
    """Source that this Python cannot parse."""
    for item in around(case, "syntax"):
        if item.get("needs"):
            place = f"{shown(case, item['file'])}:{item['line']}"
            yield Finding(
                title=f"{place} is written for Python {item['needs']} or newer, and Python {version} runs it: {item['message']}",
                proof=Proof.SOURCE,
                evidence=(Evidence("line", item["text"], source=place), here),
                fix=_FIX,
                location=place_of(case, item),
            )


def _removed_modules(case: Case, version: str, here: Evidence) -> Iterator[Finding]:
    """Modules that have left the standard library."""
    for row in judged(case):
        gone = row.get("removed_from_python")
        if gone and row.get("status") == "missing":
            yield Finding(
                title=f"{top(row)} was removed from the standard library in Python {gone['since']}, and Python "
                f"{version} runs the script",
                proof=Proof.MEASUREMENT,
                evidence=(Evidence("import", row["statement"], source=f"{shown(case, row['file'])}:{row['line']}"), here),
                fix=Fix(f"Use {gone['instead']} instead, or run the script with a Python before {gone['since']}."),
                location=located(case, row["file"], row["line"]),
                severity=weight(row),
            )


def _missing_names(case: Case, version: str, here: Evidence) -> Iterator[Finding]:
    """Names that this standard library does not have."""
    for row, link in broken(case, "stdlib-name"):
        module, _, name = link["module"].rpartition(".")
        yield Finding(
            title=f"cannot import name {name} from {module}: the standard library of Python {version} does not have it",
            proof=Proof.MEASUREMENT,
            evidence=(
                *chain_evidence(case, row),
                here,
            ),
            fix=_FIX,
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )


def _other_versions(case: Case, version: str, executable: str, here: Evidence) -> Iterator[Finding]:
    """Packages that lie in the folder of another Python."""
    for row in judged(case):
        lies = row.get("other_version")
        if lies and row.get("status") == "missing":
            yield Finding(
                title=f"{top(row)} is installed here for Python {lies['version']}, and Python {version} runs the script",
                proof=Proof.MEASUREMENT,
                evidence=(Evidence(f"{top(row)} lies at", lies["file"]), here),
                fix=Fix(
                    "The environment was upgraded to another Python: install your requirements into it again.",
                    (f"`{executable} -m pip install {row.get('install', top(row))}`",),
                ),
                location=located(case, row["file"], row["line"]),
                severity=weight(row),
            )


def _excluded(case: Case, version: str, here: Evidence) -> Iterator[Finding]:
    """Distributions, or the project itself, whose metadata exclude this Python."""
    for trouble in troubles(case, "requires-python", "project-python"):
        name = f"{trouble['name']} {trouble.get('version', '')}".rstrip()
        yield Finding(
            title=f"{name} requires Python {trouble['specifier']}, and the interpreter is Python {version}",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("stated in", trouble["location"]), here),
            fix=_FIX,
            severity=Severity.ERROR if trouble["kind"] == "requires-python" and trouble.get("imports") else Severity.WARNING,
        )
