"""ENV120 env-extension-damaged."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import broken, chain_evidence, imported_at, located, pip_install, shown, troubles, weight

_TROUBLE = {
    "kind": "damaged",
    "name": "torch",
    "version": "2.4.0",
    "location": "/py/site-packages",
    "imports": ["torch"],
    "files": ["torch/lib/libtorch.so"],
    "found": "it is empty (0 bytes)",
    "reason": "empty",
}


@rule(
    code="ENV120",
    name="env-extension-damaged",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-broken-install", "env-name-missing"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "torch", "version": "2.4.0"}]}),
)
def env_extension_damaged(case: Case) -> Iterator[Said]:
    """A file of an imported package is damaged: an empty or truncated library, one for another processor, an emptied module.

    A full disk, an interrupted copy or download, a Git LFS pointer instead of the file, or a folder from another machine leave
    such files; the loader says "file too short", "invalid ELF header" or "wrong ELF class", and an empty module says nothing.
    """
    told: set[str] = set()
    for trouble in troubles(case, "damaged", "truncated"):
        told.update(trouble["imports"])
        command = pip_install(case, "--force-reinstall", "--no-deps", f"{trouble['name']}=={trouble['version']}")
        yield Finding(
            title=f"{trouble['name']} {trouble['version']} is damaged: of {trouble['files'][0]}, {trouble['found']}",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence(trouble["files"][0], trouble["found"], "the file as it was installed", trouble["location"]),),
            fix=Fix(f"Install it anew: `{command}`.", (), (command,)),
            location=imported_at(case, *trouble["imports"]),
        )
    for row, link in broken(case, "empty", "foreign", "truncated", "no-binary"):
        provider = str(row.get("winner", {}).get("distribution", ""))
        if row["module"].partition(".")[0] in told:
            continue
        command = pip_install(case, "--force-reinstall", "--no-deps", provider) if provider else ""
        yield Finding(
            title=f"The compiled module {shown(case, link['file'])} cannot be loaded: {link['detail']}",
            proof=Proof.MEASUREMENT,
            evidence=chain_evidence(case, row),
            fix=Fix(f"Install it anew: `{command}`.", (), (command,)) if command else Fix("Build or fetch the file again."),
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    yield Clear("the files of the imported packages are whole")
