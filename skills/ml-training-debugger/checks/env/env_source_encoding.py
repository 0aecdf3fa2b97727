"""ENV131 env-source-encoding."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {
    "kind": "source-encoding",
    "file": "/work/train.py",
    "line": 4,
    "encoding": "cp1252",
    "text": "it holds bytes that are not utf-8, and its first lines declare no other encoding",
}


@rule(
    code="ENV131",
    name="env-source-encoding",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-source-syntax", "env-import-missing"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_source_encoding(case: Case) -> Iterator[Said]:
    """A source file is not in the encoding that Python reads it in: "SyntaxError: (unicode error) 'utf-8' codec can't decode".

    Python reads UTF-8 unless one of the first two lines declares another encoding. Editors on Windows save cp1252 or UTF-16.
    """
    for item in around(case, "source-encoding"):
        file = shown(case, item["file"])
        command = f"iconv -f {item['encoding']} -t utf-8 {shlex.quote(file)} -o {shlex.quote(file)}.utf8"
        yield Finding(
            title=f"{file} is not UTF-8 (it looks like {item['encoding']}) and declares no other encoding: Python cannot read it",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence("why", item["text"], source=f"{file}:{item['line']}"),),
            fix=Fix(f"Save it as UTF-8: `{command}`, then put it in the old one's place.", (), (command,)),
            location=place_of(case, item),
        )
    yield Clear(f"{len(case.environment.get('sources', []))} source files are in the encoding that they declare")
