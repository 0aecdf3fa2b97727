"""ENV134 env-cache-unusable."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of

_ROW = {
    "kind": "cache-unusable",
    "variable": "HF_HOME",
    "value": "/data/hf",
    "problem": "unwritable",
    "text": "you may not write into /data",
    "users": ["datasets"],
}


@rule(
    code="ENV134",
    name="env-cache-unusable",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script", "environment"},
    explains={"env-import-failed"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_cache_unusable(case: Case) -> Iterator[Said]:
    """A cache or temporary folder that a variable names cannot be used: not writable, a file, a dead link, read-only.

    Libraries write there at import or at the first load, and fail with PermissionError, NotADirectoryError or FileNotFoundError
    that says nothing of the variable.
    """
    for item in around(case, "cache-unusable"):
        variable, value = item["variable"], item["value"]
        users = ", ".join(item["users"][:3]) or "temporary files"
        soft = item["problem"] == "missing"
        yield Finding(
            title=f"{variable}={value} names a folder that cannot be used by {users}: {item['text']}",
            proof=Proof.MEASUREMENT,
            evidence=(Evidence(variable, value, "a folder that one can write into"), Evidence("problem", item["text"])),
            fix=Fix(
                f"Set {variable} to a folder of yours, such as `export {variable}=$HOME/.cache/{variable.lower()}`, "
                f"or repair the folder."
            ),
            location=place_of(case, item),
            severity=Severity.WARNING if soft else Severity.ERROR,
        )
    yield Clear("the cache folders that variables name can be written")
