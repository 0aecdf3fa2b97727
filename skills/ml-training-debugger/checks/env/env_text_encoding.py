"""ENV143 env-text-encoding."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {
    "kind": "text-encoding",
    "file": "/work/train.py",
    "line": 9,
    "text": "open('data.txt')",
    "path": "data.txt",
    "encoding": "ascii",
    "by": "LC_ALL=C",
    "really": "utf-8",
    "offset": 12,
    "byte": "0xc3",
}


@rule(
    code="ENV143",
    name="env-text-encoding",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_text_encoding(case: Case) -> Iterator[Said]:
    """A text file is opened without an encoding, and the default of this environment is not the one that it was written in.

    open() uses the locale's encoding: ASCII under a bare locale without UTF-8 mode, cp1252 on Windows. The same script works
    where the locale is UTF-8.
    """
    for item in around(case, "text-encoding"):
        place = f"{shown(case, item['file'])}:{item['line']}"
        yield Finding(
            title=f"{place} reads {item['path']} as {item['encoding']} ({item['by']}), but the file is "
            f"{item['really']}: UnicodeDecodeError",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("opens", item["text"], source=place),
                Evidence(f"byte at {item['offset']}", item["byte"], f"valid {item['encoding']}", item["path"]),
            ),
            fix=Fix(f"Say which encoding it is: encoding={item['really']!r}."),
            location=place_of(case, item),
        )
    yield Clear("files that the script opens by name can be decoded")
