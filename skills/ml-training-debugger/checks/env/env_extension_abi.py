"""ENV119 env-extension-abi."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import broken, chain_evidence, imported_at, located, pip_install, troubles, weight

_TROUBLE = {
    "kind": "abi",
    "name": "tokenizers",
    "version": "0.21.0",
    "location": "/py/site-packages",
    "imports": ["tokenizers"],
    "files": ["tokenizers/_rust.cpython-39-x86_64-linux-gnu.so"],
    "found": "Python 3.9",
    "machine": "",
}


@rule(
    code="ENV119",
    name="env-extension-abi",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-import-missing", "env-broken-transitive"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "tokenizers", "version": "0.21.0"}]}),
)
def env_extension_abi(case: Case) -> Iterator[Said]:
    """The compiled parts of a package were built for another Python or another machine than the one that runs them.

    They carry the interpreter's tag in their name (cpython-39-x86_64-linux-gnu), and Python looks only for its own: the import
    fails with "No module named …_C" although the file is there. Usual reasons: a site-packages copied from another Python, an
    upgraded environment, PYTHONPATH into one, a folder mounted from another machine.
    """
    version = str(case.environment.get("python", {}).get("version", "?"))
    told: set[str] = set()
    for trouble in troubles(case, "abi"):
        told.update(trouble["imports"])
        name, files = trouble["name"], trouble["files"]
        target = trouble.get("machine") or trouble["found"]
        command = pip_install(case, "--force-reinstall", "--no-deps", f"{name}=={trouble['version']}")
        yield Finding(
            title=f"{name} {trouble['version']} is compiled for {target}, not for this Python {version}",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("built for", ", ".join(files[:2]), f"Python {version}", trouble["location"]),),
            fix=Fix(f"Install it for exactly this interpreter: `{command}`.", (), (command,)),
            location=imported_at(case, *trouble["imports"]),
        )
    for row, link in broken(case, "abi"):
        if row["module"].partition(".")[0] in told:
            continue
        provider = str(row.get("winner", {}).get("distribution") or link["module"].partition(".")[0])
        command = pip_install(case, "--force-reinstall", "--no-deps", provider)
        yield Finding(
            title=f"{link['module']} is there only for {_built_for(link['detail'])} "
            f"({link['detail'].rpartition('/')[2]}), not for this Python {version}",
            proof=Proof.MEASUREMENT,
            evidence=chain_evidence(case, row),
            fix=Fix(f"Install it for exactly this interpreter: `{command}`.", (), (command,)),
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    yield Clear("the compiled modules that are imported carry the tag of this interpreter")


def _built_for(file: str) -> str:
    match = re.search(r"(?:cpython-|cp)(\d)(\d+)", file)
    return f"Python {match[1]}.{match[2]}" if match else "another interpreter"
