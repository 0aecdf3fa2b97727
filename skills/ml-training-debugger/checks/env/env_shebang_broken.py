"""ENV151 env-shebang-broken."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import shown

_FAULT = {
    "kind": "shebang-interpreter",
    "file": "/work/train.py",
    "line": "/opt/py39/bin/python",
    "target": "/opt/py39/bin/python",
}


@rule(
    code="ENV151",
    name="env-shebang-broken",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "startup": [_FAULT]}),
    quiet=Example(environment={"cwd": "/work", "startup": []}),
)
def env_shebang_broken(case: Case) -> Iterator[Said]:
    """The first line of the script names an interpreter that is not there, or ends in a carriage return.

    "bad interpreter: No such file or directory", or "env: 'python\\r': No such file": saved with Windows line ends, written for
    another machine, or left over in the bin folder of an environment that was moved.
    """
    for fault in case.environment.get("startup", []):
        if not fault.get("kind", "").startswith("shebang"):
            continue
        file = shown(case, fault["file"])
        returns = fault["kind"] == "shebang-return"
        command = f"sed -i 's/\\r$//' {shlex.quote(file)}" if returns else ""
        why = "ends in a carriage return (Windows line ends)" if returns else f"names {fault.get('target')}, which does not exist"
        yield Finding(
            title=f"{file} cannot be started: its first line (#!{fault['line'].strip()}) {why}",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("first line", repr("#!" + fault["line"]), source=f"{file}:1"),),
            fix=Fix(f"Remove the carriage returns: `{command}`.", (), (command,))
            if returns
            else Fix("Write `#!/usr/bin/env python3`, or start it as `python FILE`."),
        )
    yield Clear("the first line names an interpreter that is there, or none was needed")
