"""ENV128 env-broken-transitive."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import broken, chain_evidence, located, pip_install, shown, weight

_WINNER = {
    "file": "/py/site-packages/loader",
    "kind": "package",
    "owner": "installed",
    "distribution": "loader",
    "version": "1.0",
}
_ROW = {
    "module": "loader",
    "statement": "import loader",
    "file": "/work/train.py",
    "line": 3,
    "status": "found",
    "reached": True,
    "winner": _WINNER,
}
_LINK = {
    "file": "/py/site-packages/loader/__init__.py",
    "line": 2,
    "module": "soundfile",
    "reason": "missing",
    "detail": "no entry of the path offers it",
}


@rule(
    code="ENV128",
    name="env-broken-transitive",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error"},
    fires=Example(environment={"cwd": "/work", "imports": [{**_ROW, "breaks_at": [_LINK]}]}),
    quiet=Example(environment={"cwd": "/work", "imports": [_ROW]}),
)
def env_broken_transitive(case: Case) -> Iterator[Said]:
    """A package is installed, but something that it imports itself is missing, so that its own import fails.

    pip lists the package, and a handler around its import reports that it is not installed: what is missing is one link further
    down, a requirement that was removed, an optional extra, or a file of the package itself.
    """
    for row, link in broken(case, "missing"):
        holder = row.get("winner", {})
        if holder.get("owner") != "installed":
            continue
        name = f"{holder.get('distribution', row['module'])} {holder.get('version', '')}".strip()
        top = link["module"].lstrip(".").partition(".")[0]
        inner = link["detail"].endswith(tuple(f"holds no {part}" for part in link["module"].split("."))) and "." in link["module"]
        command = pip_install(case, "--force-reinstall", "--no-deps", name.split()[0]) if inner else pip_install(case, top)
        yield Finding(
            title=f"{name} is installed, but {shown(case, link['file'])}:{link['line']} imports {link['module']}, "
            f"which is missing",
            proof=Proof.MEASUREMENT,
            evidence=chain_evidence(case, row),
            fix=Fix(f"Install what is missing into exactly this interpreter: `{command}`.", (), (command,)),
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    yield Clear("what the imported packages import is there, as far as their files were followed")
