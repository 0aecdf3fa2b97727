"""ENV111 env-user-site-override."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import by_top, judged, located, module_file, python, shown

_USER = {
    "file": "/home/u/.local/lib/python3.11/site-packages/numpy",
    "kind": "package",
    "owner": "installed",
    "origin": "user-site",
    "distribution": "numpy",
    "version": "1.21.0",
    "entry": "/home/u/.local/lib/python3.11/site-packages",
}
_SITE = {
    **_USER,
    "file": "/env/site-packages/numpy",
    "origin": "site-packages",
    "version": "2.1.0",
    "entry": "/env/site-packages",
}
_ROW = {"module": "numpy", "statement": "import numpy", "file": "/work/train.py", "line": 1, "status": "found", "winner": _USER}


@rule(
    code="ENV111",
    name="env-user-site-override",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"environment"},
    subjects={"run", "script"},
    explains={"env-duplicate-distribution", "env-version-conflict", "env-numpy-abi", "env-torch-companions", "env-import-failed"},
    fires=Example(environment={"cwd": "/work", "imports": [{**_ROW, "losers": [_SITE]}]}),
    # Only the user's own folder has it: nothing is overridden.
    quiet=Example(environment={"cwd": "/work", "imports": [_ROW]}),
)
def env_user_site_override(case: Case) -> Iterator[Said]:
    """A package in the user's own site-packages (`pip install --user`) wins over the environment's copy.

    ~/.local/lib/pythonX.Y/site-packages comes before the site-packages of a conda environment or a system Python, so an
    old version from there is loaded silently, whatever `pip install` puts into the environment.
    """
    seen = 0
    for name, row in by_top(judged(case)).items():
        seen += 1
        winner = row.get("winner", {})
        loser = next((item for item in row.get("losers", []) if item.get("origin") in ("site-packages", "venv")), None)
        if winner.get("origin") != "user-site" or loser is None:
            continue
        mine, theirs = winner.get("version", ""), loser.get("version", "")
        distribution = winner.get("distribution", name)
        uninstall = f"{python(case)} -m pip uninstall -y {distribution}"
        yield Finding(
            title=f"{name} is loaded from the user site ({mine or 'unknown version'} in {winner['entry']}), "
            f"which overrides the environment's {distribution} {theirs}".rstrip(),
            proof=Proof.MEASUREMENT,
            evidence=(
                Evidence(
                    f"`{row.get('statement') or name}` loads",
                    module_file(winner),
                    source=f"{shown(case, row['file'])}:{row['line']}",
                ),
                Evidence("the environment's own", module_file(loser), source=loser.get("entry", "")),
            ),
            fix=Fix(
                f"Remove the user's copy: `{uninstall}` (run it while the user's copy is the one that pip sees).",
                ("Or ignore the user site for this run: PYTHONNOUSERSITE=1, or the flag -s.",),
                (uninstall,),
            ),
            location=located(case, row["file"], row["line"]),
            severity=Severity.ERROR if mine != theirs else Severity.WARNING,
        )
    yield Clear(f"{seen} imported names, none taken from the user site while the environment has its own")
