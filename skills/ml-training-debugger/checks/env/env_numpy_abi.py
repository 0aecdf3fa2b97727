"""ENV124 env-numpy-abi."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import imported_at, pip_install, troubles

_TROUBLE = {
    "kind": "conflict",
    "name": "pandas",
    "version": "1.5.3",
    "location": "/py/site-packages",
    "imports": ["pandas"],
    "requires": "numpy",
    "specifier": "<2",
    "found": "2.1.0",
    "abi": "2.2.2",
}


@rule(
    code="ENV124",
    name="env-numpy-abi",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-version-conflict", "env-project-requirement"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "numpy", "version": "1.26.4"}]}),
)
def env_numpy_abi(case: Case) -> Iterator[Said]:
    """A package was compiled against NumPy 1, and NumPy 2 is installed: its compiled parts cannot be used.

    "A module that was compiled using NumPy 1.x cannot be run in NumPy 2", "_ARRAY_API not found", "numpy.dtype size changed" and
    "RuntimeError: Numpy is not available" all mean this.
    """
    for trouble in troubles(case, "conflict"):
        if "abi" not in trouble:
            continue
        name, first = trouble["name"], trouble["abi"]
        older = pip_install(case, "numpy<2")
        newer = pip_install(case, f"{name}>={first}") if first else ""
        yield Finding(
            title=f"{name} {trouble['version']} is built for NumPy 1 and NumPy {trouble['found']} is installed: "
            "compiled using NumPy 1.x, it cannot be run in NumPy 2",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("installed numpy", trouble["found"], "<2", trouble["location"]),
                Evidence("package", f"{name} {trouble['version']}"),
            ),
            fix=Fix(
                f"Go back to NumPy 1: `{older}`.",
                (f"Or take a {name} that is built for NumPy 2: `{newer}`",) if newer else (),
                (older,),
            ),
            location=imported_at(case, *trouble["imports"], "numpy"),
            severity=Severity.ERROR if trouble["imports"] else Severity.WARNING,
        )
    yield Clear("no imported package needs NumPy 1 while NumPy 2 is installed")
