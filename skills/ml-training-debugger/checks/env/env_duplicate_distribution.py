"""ENV107 env-duplicate-distribution."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import pip_install, python, troubles

_TROUBLE = {
    "kind": "duplicate",
    "name": "numpy",
    "version": "1.26.4",
    "location": "/py/site-packages",
    "imports": ["numpy"],
    "versions": ["1.26.4", "2.1.0"],
    "locations": ["/py/site-packages/numpy-1.26.4.dist-info", "/py/site-packages/numpy-2.1.0.dist-info"],
}


@rule(
    code="ENV107",
    name="env-duplicate-distribution",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script", "environment"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "numpy", "version": "2.1.0"}]}),
)
def env_duplicate_distribution(case: Case) -> Iterator[Said]:
    """Two versions of one distribution are on the path: pip and version checks see one, the import may load the other.

    Usual reasons: an upgrade that was interrupted, a `pip install --user` beside the environment's own copy, PYTHONPATH
    into another environment's site-packages.
    """
    for trouble in troubles(case, "duplicate"):
        name, versions = trouble["name"], trouble["versions"]
        uninstall = f"{python(case)} -m pip uninstall -y {name}"
        install = pip_install(case, f"{name}=={versions[-1]}")
        yield Finding(
            title=f"{name} is on the path in {len(versions)} versions: {', '.join(versions)}",
            proof=Proof.MEASUREMENT,
            evidence=tuple(Evidence("metadata", place) for place in trouble["locations"][:4]),
            fix=Fix(
                "Remove every copy, then install the version that you want.",
                (f"`{uninstall}`, until pip finds none", f"`{install}`"),
                (uninstall, install),
            ),
        )
    yield Clear(f"{len(case.environment.get('distributions', []))} distributions, each in one version")
