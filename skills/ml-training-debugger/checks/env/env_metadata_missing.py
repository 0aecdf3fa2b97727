"""ENV121 env-metadata-missing."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, imported_at, pip_install, place_of, shown, troubles

# Distributions that check the metadata of what they require when they are imported.
CHECKERS = frozenset({"transformers", "diffusers", "accelerate", "peft", "trl", "sentence-transformers"})

_READ = {"kind": "metadata-read", "name": "engine", "file": "/work/train.py", "line": 3, "text": "version('engine')"}


@rule(
    code="ENV121",
    name="env-metadata-missing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_READ]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_metadata_missing(case: Case) -> Iterator[Said]:
    """A package can be imported, but its metadata is not there: version checks say that it is not installed.

    importlib.metadata reads the .dist-info folder, not the module. A copied folder, a vendored package or a deleted .dist-info
    has none, and libraries that check their requirements at import refuse to load.
    """
    for item in around(case, "metadata-read"):
        command = pip_install(case, item["name"])
        yield Finding(
            title=f"{shown(case, item['file'])} reads the version of {item['name']}, which has no metadata here: "
            f"PackageNotFoundError",
            proof=Proof.SOURCE,
            evidence=(Evidence("statement", item["text"], source=f"{shown(case, item['file'])}:{item['line']}"),),
            fix=Fix(f"Install it, so that its metadata is there: `{command}`.", (), (command,)),
            location=place_of(case, item),
        )
    for trouble in troubles(case, "no-metadata"):
        name = trouble["requires"]
        checks = trouble["name"].lower() in CHECKERS
        command = pip_install(case, "--force-reinstall", "--no-deps", name)
        yield Finding(
            title=f"{trouble['name']} requires {name}, whose module {trouble['module']} is there without metadata (no "
            f".dist-info)",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("required by", f"{trouble['name']} {trouble['version']}", source=trouble["location"]),),
            fix=Fix(f"Install it anew, so that its metadata is there: `{command}`.", (), (command,)),
            location=imported_at(case, *trouble["imports"]),
            severity=Severity.ERROR if checks and trouble["imports"] else Severity.INFO,
        )
    yield Clear("whatever reads a version finds the metadata")
