"""ENV132 env-mojibake."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {"kind": "mojibake", "file": "/work/train.py", "line": 4, "text": "cafÃ©", "repaired": "café", "count": 1}


@rule(
    code="ENV132",
    name="env-mojibake",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_mojibake(case: Case) -> Iterator[Said]:
    """Text of the source was decoded wrongly before it was saved: "Ã©" stands where "é" was meant (mojibake).

    UTF-8 was read as cp1252 or latin-1 and saved again, or the file declares latin-1 and holds UTF-8. Comparisons, labels and
    prompts made of such text never match.
    """
    for item in around(case, "mojibake"):
        place = f"{shown(case, item['file'])}:{item['line']}"
        meant = f" (meant is {item['repaired']!r})" if item.get("repaired") else ""
        yield Finding(
            title=f"{place} holds mojibake: {item['text']!r} is UTF-8 text decoded in the wrong encoding{meant}",
            proof=Proof.SOURCE,
            evidence=(Evidence("text", item["text"], item.get("repaired", ""), place),),
            fix=Fix("Write the text anew, save the file as UTF-8, and drop a coding line that says otherwise."),
            location=place_of(case, item),
        )
    yield Clear("no text of the source looks decoded twice")
