"""ENV133 env-offline-uncached."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import around, place_of, shown

_ROW = {
    "kind": "offline-uncached",
    "file": "/work/train.py",
    "line": 5,
    "text": "load_dataset('imdb')",
    "name": "imdb",
    "variable": "HF_HUB_OFFLINE",
    "looked": "/root/.cache/huggingface/hub",
    "elsewhere": "",
    "decided": "",
    "tried": False,
}


@rule(
    code="ENV133",
    name="env-offline-uncached",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-cache-unusable"},
    fires=Example(environment={"cwd": "/work", "surroundings": [_ROW]}),
    quiet=Example(environment={"cwd": "/work", "surroundings": []}),
)
def env_offline_uncached(case: Case) -> Iterator[Said]:
    """Offline mode is on, and what the script loads from the hub is not in the cache that it looks in.

    HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE, HF_DATASETS_OFFLINE and local_files_only=True forbid the download. The files were never
    fetched on this machine, or HF_HOME and its kin name another cache than the one they were fetched into.
    """
    for item in around(case, "offline-uncached"):
        name, elsewhere = item["name"], item.get("elsewhere", "")
        why = (
            f"{item['decided']} looks in {item['looked']}, but it is cached in {elsewhere}"
            if elsewhere
            else f"it is not cached in {item['looked']}"
        )
        steps = (
            (
                f"Let the variable name that cache: "
                f"{item['decided'].partition('=')[0] or 'HF_HOME'}={elsewhere.rpartition('/')[0]}",
            )
            if elsewhere
            else ()
        )
        yield Finding(
            title=f"{item['variable']} forbids downloads (offline mode), and {name} cannot be loaded: {why}",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("loads", item["text"], source=f"{shown(case, item['file'])}:{item['line']}"),
                Evidence("looked for in", item["looked"], source=item.get("decided", "")),
                *((Evidence("cached in", elsewhere),) if elsewhere else ()),
            ),
            fix=Fix(
                f"Unset {item['variable']} for one run, so that {name} is fetched."
                if not elsewhere
                else "Point the cache variable to where the files are.",
                steps,
            ),
            location=place_of(case, item),
            severity=Severity.WARNING if item.get("tried") else Severity.ERROR,
        )
    yield Clear("nothing that the script loads is forbidden to download and absent from the cache")
