"""ENV125 env-project-requirement."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import imported_at, pip_install, shown, troubles

_TROUBLE = {
    "kind": "project-requirement",
    "name": "datasets",
    "version": "1.18.0",
    "location": "/py/site-packages",
    "imports": ["datasets"],
    "requires": "datasets",
    "specifier": ">=2.14",
    "found": "1.18.0",
    "file": "/work/requirements.txt",
}


@rule(
    code="ENV125",
    name="env-project-requirement",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    fires=Example(environment={"cwd": "/work", "troubles": [_TROUBLE]}),
    quiet=Example(environment={"cwd": "/work", "troubles": [], "distributions": [{"name": "datasets", "version": "4.0.0"}]}),
)
def env_project_requirement(case: Case) -> Iterator[Said]:
    """The project states a version (requirements.txt, pyproject.toml) that the installed package does not have.

    The environment was made before the line was changed, or something else was installed over it since.
    """
    for trouble in troubles(case, "project-requirement"):
        wanted = f"{trouble['name']}{trouble['specifier'].replace(' ', '')}"
        command = pip_install(case, wanted)
        yield Finding(
            title=f"{shown(case, trouble['file'])} asks for {trouble['name']} {trouble['specifier']}, and "
            f"{trouble['found']} is installed",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence(f"installed {trouble['name']}", trouble["found"], trouble["specifier"], trouble["location"]),),
            fix=Fix(f"Install what the project asks for: `{command}`.", (), (command,)),
            location=imported_at(case, *trouble["imports"]),
        )
    yield Clear("what is installed meets the versions that the project states")
