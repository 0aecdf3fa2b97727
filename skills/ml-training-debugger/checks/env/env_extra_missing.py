"""ENV126 env-extra-missing."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, imported_at, pip_install, place_of, shown, troubles

_CALL = {
    "kind": "call-wants-package",
    "package": "accelerate",
    "variable": "",
    "word": "device_map=",
    "file": "/work/train.py",
    "line": 9,
    "text": "AutoModel.from_pretrained(name, device_map='auto')",
}


@rule(
    code="ENV126",
    name="env-extra-missing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_CALL]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_extra_missing(case: Case) -> Iterator[Said]:
    """An optional part of a package is used, and what that part needs is not installed (an unmet extra).

    `pip install datasets` leaves out what datasets[audio] adds. The import of the package succeeds; the call or the variable
    that needs the extra fails later.
    """
    for item in around(case, "call-wants-package", "variable-wants-package"):
        package = item["package"]
        command = pip_install(case, package)
        by = (
            f"{item['variable']}={item['value']}"
            if item["kind"].startswith("variable")
            else f"{item['word']} in line {item['line']}"
        )
        yield Finding(
            title=f"{by} needs {package}, which is not installed",
            proof=Proof.SOURCE,
            evidence=(
                Evidence(
                    "asked for by",
                    item.get("text", by),
                    source=f"{shown(case, item['file'])}:{item['line']}" if item.get("file") else "the environment",
                ),
            ),
            fix=Fix(
                f"Install it: `{command}`.",
                ("Or do without: " + (f"unset {item['variable']}." if item["variable"] else "leave it out."),),
                (command,),
            ),
            location=place_of(case, item),
        )
    for trouble in troubles(case, "extra-missing"):
        command = pip_install(case, f"{trouble['name']}[{trouble['extra']}]")
        yield Finding(
            title=f"{shown(case, trouble['file'])} asks for {trouble['name']}[{trouble['extra']}], but "
            f"{', '.join(trouble['files'][:3])} is not installed",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(
                    f"extra {trouble['extra']} of {trouble['name']} {trouble['version']}",
                    ", ".join(trouble["files"][:5]),
                    "installed",
                ),
            ),
            fix=Fix(f"Install it with its extra: `{command}`.", (), (command,)),
            location=imported_at(case, *trouble["imports"]),
            severity=Severity.WARNING,
        )
    yield Clear("no call, variable or requirement asks for an extra that is not installed")
