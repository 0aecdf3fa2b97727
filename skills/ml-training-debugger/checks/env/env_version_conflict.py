"""ENV122 env-version-conflict."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import imported_at, pip_install, troubles

_TROUBLE = {
    "kind": "conflict",
    "name": "transformers",
    "version": "4.40.0",
    "location": "/py/site-packages",
    "imports": ["transformers"],
    "requires": "tokenizers",
    "specifier": "<0.20,>=0.19",
    "found": "0.21.0",
    "required_imports": [],
}


@rule(
    code="ENV122",
    name="env-version-conflict",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-name-missing", "env-broken-transitive"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "tokenizers", "version": "0.19.1"}]}),
)
def env_version_conflict(case: Case) -> Iterator[Said]:
    """An imported package requires another version of a package than the one that is installed.

    pip resolves versions only for what it installs at that moment: a later `pip install` of something else, or --no-deps, leaves
    a pair that its makers exclude. transformers and others check at import and refuse; others fail later and stranger.
    """
    for trouble in troubles(case, "conflict"):
        if "pair" in trouble or "abi" in trouble:
            continue
        name, needed = trouble["name"], trouble["requires"]
        wanted = trouble["specifier"]
        command = pip_install(
            case, f"{needed}{wanted.replace(' ', '')}" if wanted else f"{name}", *(() if wanted else ("--upgrade",))
        )
        why = trouble.get("known") or f"it requires {needed} {wanted}"
        yield Finding(
            title=f"{name} {trouble['version']} does not go with the installed {needed} {trouble['found']}: {why}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(f"installed {needed}", trouble["found"], wanted, trouble["location"]),
                Evidence("required by", f"{name} {trouble['version']}"),
            ),
            fix=Fix(f"Install a version that fits: `{command}`.", (), (command,)),
            location=imported_at(case, *trouble["imports"], *trouble.get("required_imports", [])),
            severity=Severity.ERROR if trouble["imports"] else Severity.WARNING,
        )
    yield Clear("what the script imports finds its requirements in versions that fit")
