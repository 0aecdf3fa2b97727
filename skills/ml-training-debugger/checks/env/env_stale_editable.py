"""ENV112 env-stale-editable."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import imported_at, judged, located, python, top, troubles

_TROUBLE = {
    "kind": "stale-editable",
    "name": "engine",
    "version": "0.1",
    "location": "/py/site-packages",
    "imports": ["engine"],
    "files": ["/old/engine"],
    "found": "the folder does not exist",
}


@rule(
    code="ENV112",
    name="env-stale-editable",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-broken-install"},
    fires=Example(environment={"troubles": [_TROUBLE]}),
    # The checkout that the editable install points to is where it was.
    quiet=Example(environment={"troubles": [], "distributions": [{"name": "engine", "version": "0.1"}]}),
)
def env_stale_editable(case: Case) -> Iterator[Said]:
    """An editable install (`pip install -e`) points to a source folder that was moved, renamed or deleted.

    pip still lists it, because its metadata lies in site-packages; the code itself lies in the folder that is gone.
    """
    missing = {top(row) for row in judged(case) if row.get("status") in ("missing", "unknown")}
    for trouble in troubles(case, "stale-editable", "dead-path"):
        hit = sorted(missing & set(trouble.get("imports", [])))
        dead = trouble["kind"] == "dead-path"
        if dead and not hit:
            continue
        folder = trouble["files"][0]
        name = hit[0] if dead else f"{trouble['name']} {trouble.get('version', '')}".rstrip()
        yield Finding(
            title=f"{name} is an editable install of {folder}, which does not exist any more",
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence("source folder", folder, "an existing folder", trouble["location"]),
                Evidence("imported as", ", ".join(hit or trouble["imports"])),
            ),
            fix=Fix(
                "Install it from where its source is now.",
                (
                    f"`{python(case)} -m pip install -e NEW_FOLDER`, or `{python(case)} -m pip install "
                    f"{trouble['name']}` from the index",
                ),
            ),
            location=imported_at(case, *(hit or trouble["imports"])),
            severity=Severity.ERROR if hit else Severity.WARNING,
        )
    for row in judged(case):
        winner = row.get("winner", {})
        if winner.get("checkout"):
            names = ", ".join(item["name"] for item in row.get("wants", [])[:3])
            yield Finding(
                title=f"{top(row)} is an editable install of another checkout, {winner['file']}, not of {winner['checkout']}"
                + (f": {names} is not defined there" if names else ""),
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence(f"`{row['statement']}` loads", winner["file"], source=winner.get("by", "")),
                    Evidence("this project's own", winner["checkout"]),
                ),
                fix=Fix(f"Install this checkout: `{python(case)} -m pip install -e .` in its root."),
                location=located(case, row["file"], row["line"]),
                severity=Severity.ERROR if names else Severity.WARNING,
            )
    yield Clear("no editable install points to a folder that is gone")
