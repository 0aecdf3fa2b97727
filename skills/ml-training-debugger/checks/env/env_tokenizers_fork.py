"""ENV147 env-tokenizers-fork."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, located, shown

_ROW = {
    "kind": "tokenizers-fork",
    "variable": "TOKENIZERS_PARALLELISM",
    "value": "true",
    "text": "",
    "use": {"file": "/work/train.py", "line": 9, "text": "DataLoader(d, num_workers=4)", "count": 4},
}


@rule(
    code="ENV147",
    name="env-tokenizers-fork",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_tokenizers_fork(case: Case) -> Iterator[Said]:
    """TOKENIZERS_PARALLELISM=true keeps the tokenizer's threads on although DataLoader workers are forked: it can deadlock.

    Left unset, the library switches its threads off after a fork and warns; forced on, a worker may wait for a lock that no
    thread of its own will ever release.
    """
    for item in around(case, "tokenizers-fork"):
        use = item["use"]
        yield Finding(
            title=f"TOKENIZERS_PARALLELISM={item['value']} and {use['count']} forked workers (line {use['line']}): "
            f"the tokenizer's threads can deadlock",
            proof=Proof.SOURCE,
            evidence=(Evidence("workers", use["text"], source=f"{shown(case, use['file'])}:{use['line']}"),),
            fix=Fix("Set it to false: `export TOKENIZERS_PARALLELISM=false`.", (), ("export TOKENIZERS_PARALLELISM=false",)),
            location=located(case, use["file"], use["line"]),
        )
    yield Clear("no tokenizer threads are forced on before a fork")
