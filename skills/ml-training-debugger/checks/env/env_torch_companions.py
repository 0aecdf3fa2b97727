"""ENV123 env-torch-companions."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import imported_at, pip_install, troubles

_TROUBLE = {
    "kind": "conflict",
    "name": "torchvision",
    "version": "0.15.0",
    "location": "/py/site-packages",
    "imports": ["torchvision"],
    "requires": "torch",
    "specifier": "",
    "found": "2.4.0",
    "pair": "0.19.*",
}


@rule(
    code="ENV123",
    name="env-torch-companions",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-version-conflict"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "torchvision", "version": "0.19.0"}]}),
)
def env_torch_companions(case: Case) -> Iterator[Said]:
    """torchvision or torchaudio does not match the installed torch: each of their releases is built against exactly one.

    A mismatch shows as "operator torchvision::nms does not exist", an undefined symbol, or a crash at import.
    """
    for trouble in troubles(case, "conflict"):
        if "pair" not in trouble:
            continue
        name, torch = trouble["name"], trouble["found"]
        command = pip_install(case, f"{name}=={trouble['pair']}")
        yield Finding(
            title=f"{name} {trouble['version']} does not match torch {torch}, which goes with {name} {trouble['pair']}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(f"installed {name}", trouble["version"], trouble["pair"], trouble["location"]),
                Evidence("installed torch", torch),
            ),
            fix=Fix(f"Install the matching one: `{command}`.", (), (command,)),
            location=imported_at(case, name),
        )
    yield Clear("torch and its companions match")
