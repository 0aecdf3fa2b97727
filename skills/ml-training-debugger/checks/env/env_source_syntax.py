"""ENV130 env-source-syntax."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, broken, chain_evidence, located, place_of, shown, weight

_SYNTAX = {
    "kind": "syntax",
    "file": "/work/train.py",
    "line": 3,
    "message": "'(' was never closed",
    "text": "print(1",
    "needs": "",
}


@rule(
    code="ENV130",
    name="env-source-syntax",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-import-missing"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_SYNTAX]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_source_syntax(case: Case) -> Iterator[Said]:
    """A file that is imported, or the script itself, does not parse: SyntaxError before anything runs.

    Besides plain slips: characters that look like others (no-break spaces, curly quotes) pasted from a page, marks of an
    unfinished merge, null bytes of a damaged file. `except ImportError` does not catch it, `except Exception` hides it.
    """
    for item in around(case, "syntax"):
        if item.get("needs"):
            continue
        place = f"{shown(case, item['file'])}:{item['line']}"
        odd = next((character for character in item["text"] if not character.isascii()), "")
        yield Finding(
            title=f"{place} does not parse (SyntaxError): {item['message']}",
            proof=Proof.SOURCE,
            evidence=(
                Evidence("line", item["text"], source=place),
                *((Evidence("a character beyond ASCII in it", f"U+{ord(odd):04X}"),) if odd else ()),
            ),
            fix=Fix(f"Correct line {item['line']} of {shown(case, item['file'])}."),
            location=place_of(case, item),
        )
    for row, link in broken(case, "unparsable"):
        yield Finding(
            title=f"{shown(case, link['file'])} cannot be loaded: {link['detail']}",
            proof=Proof.MEASUREMENT,
            evidence=chain_evidence(case, row),
            fix=Fix("Restore the file: reinstall the package that it belongs to."),
            location=located(case, row["file"], row["line"]),
            severity=weight(row),
        )
    yield Clear(f"{len(case.environment.get('sources', []))} files of the script's own parse")
