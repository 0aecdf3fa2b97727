"""ENV129 env-unreadable-file."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import imported_at, troubles

_TROUBLE = {
    "kind": "unreadable",
    "name": "datasets",
    "version": "4.0.0",
    "location": "/py/site-packages",
    "imports": ["datasets"],
    "files": ["/py/site-packages/datasets"],
    "found": "its permissions (d---------) let nobody enter it",
}


@rule(
    code="ENV129",
    name="env-unreadable-file",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-broken-install", "env-import-missing"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "datasets", "version": "4.0.0"}]}),
)
def env_unreadable_file(case: Case) -> Iterator[Said]:
    """A file or folder of an imported package is there and cannot be read: permissions, or a link that leads nowhere.

    Usual reasons: `sudo pip install` with a strict umask, a shared environment of another user, a store (uv, conda, nix) whose
    files were deleted below the links.
    """
    for trouble in troubles(case, "unreadable"):
        file = trouble["files"][0]
        linked = "link" in trouble["found"]
        command = f"chmod -R u+rwX,go+rX {shlex.quote(file)}"
        yield Finding(
            title=f"{trouble['name']} {trouble['version']} cannot be read: of {file}, {trouble['found']}",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence(file, trouble["found"], "readable", trouble["location"]),),
            fix=Fix("Reinstall it: the files that the link leads to are gone.")
            if linked
            else Fix(f"Give back the permissions: `{command}`.", (), (command,)),
            location=imported_at(case, *trouble["imports"]),
        )
    yield Clear("the files of the imported packages can be read")
