"""ENV101 env-shadowed-module."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, rule
from cognate.rules.imports import by_top, importers_text, judged, label, located, module_file, rename, shown, top

if TYPE_CHECKING:
    from cognate.case.schema import ImportTrace

# Names that a file of one's own is often given although a library of the field has it, installed here or not.
LIBRARIES = frozenset({
    "accelerate", "apex", "datasets", "deepspeed", "diffusers", "einops", "evaluate", "jax", "keras", "lightning", "numpy",
    "optuna", "pandas", "peft", "ray", "scipy", "sentencepiece", "sklearn", "tensorboard", "tensorflow", "timm",
    "tokenizers", "torch", "torchaudio", "torchmetrics", "torchvision", "tqdm", "transformers", "trl", "wandb",
})  # fmt: skip

_PLACE = {"origin": "script", "by": "Python puts the script's own folder first", "entry": "/work"}
_LOCAL = {"file": "/work/datasets.py", "kind": "module", "owner": "first-party", **_PLACE}
_SITE = {
    "file": "/py/site-packages/datasets",
    "kind": "package",
    "owner": "installed",
    "distribution": "datasets",
    "version": "4.0.0",
}
_ROW = {
    "module": "datasets",
    "statement": "from datasets import load_dataset",
    "file": "/work/train.py",
    "line": 3,
    "status": "found",
    "winner": _LOCAL,
    "losers": [_SITE],
    "counterfactual": {"without": "/work/datasets.py", "then": _SITE},
}


@rule(
    code="ENV101",
    name="env-shadowed-module",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"environment"},
    explains={"env-import-failed", "env-swallowed-import-error", "env-circular-import"},
    subjects={"run", "script"},
    core=True,
    fires=Example(
        environment={
            "cwd": "/work",
            "imports": [{**_ROW, "wants": [{"name": "load_dataset", "file": "/work/train.py", "line": 3}]}],
        }
    ),
    # The script asks only for what its own datasets.py defines, and nothing installed imports the name.
    quiet=Example(environment={"cwd": "/work", "imports": [{**_ROW, "wants": []}]}),
)
def env_shadowed_module(case: Case) -> Iterator[Said]:
    """A local file or folder shadows an installed package or a standard-library module of the same name.

    Python takes the first match on sys.path, and the script's own folder (with `-m`, the working folder) comes before
    everything installed. The import then fails with "cannot import name", "has no attribute" or "partially initialized
    module", or a guard around it reports that the library is not installed although `pip list` shows it. Usual files:
    datasets.py, tokenizers.py, random.py, logging.py, types.py, a folder utils/ or evaluate/ with an __init__.py.
    """
    rows = judged(case)
    asked = {top(row) for row in rows if row.get("statement")}
    seen = 0
    for name, row in by_top(rows).items():
        winner = row.get("winner", {})
        seen += 1
        if winner.get("owner") != "first-party" or winner.get("origin") not in ("script", "cwd"):
            continue
        if winner.get("kind") == "namespace" or row.get("own_project") or row.get("status") != "found":
            continue
        finding = _judge(case, name, row, name in asked)
        if finding is not None:
            yield finding
    yield Clear(f"{seen} imported names, none of them taken by a local file from a library that needs it")


def _judge(case: Case, name: str, row: ImportTrace, by_script: bool) -> Finding | None:
    hidden = next((place for place in row.get("losers", []) if place.get("owner") != "first-party"), None)
    wants, importers = row.get("wants", []), row.get("importers", [])
    if not wants and not (hidden and importers):
        return None
    if hidden is None and name not in LIBRARIES:
        return None
    winner = row["winner"]
    local = shown(case, module_file(winner))
    theirs = label(hidden, name) if hidden else f"the library {name}, which is not installed here"
    because = f"because {winner.get('by', 'its folder comes first')}"
    certain = bool(wants) or any(user.get("certain") for user in importers)
    title = f"Your script imports {local}, not {theirs}, {because}"
    if not by_script:
        title = f"{local} takes the place of {theirs} for every package that imports {name}, {because}"
    return Finding(
        title=title,
        proof=Proof.MEASUREMENT,
        evidence=_evidence(case, name, row),
        fix=_fix(case, name, row),
        location=located(case, row["file"], row["line"]),
        severity=Severity.ERROR if certain else Severity.WARNING,
    )


def _evidence(case: Case, name: str, row: ImportTrace) -> tuple[Evidence, ...]:
    winner = row["winner"]
    lines = []
    if row.get("statement"):
        lines.append(
            Evidence(
                f"`{row['statement']}` loads",
                module_file(winner),
                source=f"{shown(case, row['file'])}:{row['line']}",
            )
        )
    lines.append(Evidence("path entry that decides", winner.get("entry", ""), source=winner.get("by", "")))
    if row.get("wants"):
        names = ", ".join(dict.fromkeys(want["name"] for want in row["wants"]))
        lines.append(Evidence(f"{shown(case, winner['file'])} does not define", names))
    if row.get("importers"):
        lines.append(Evidence(f"installed code that imports {name} and gets the local file", importers_text(row)))
    then = row.get("counterfactual", {}).get("then")
    if then:
        version = f", version {then['version']}" if then.get("version") else ""
        lines.append(Evidence(f"without {shown(case, winner['file'])}, {name} resolves to", f"{module_file(then)}{version}"))
    message = row.get("guard", {}).get("message")
    if message:
        lines.append(Evidence("the handler says instead", message, source=f"line {row['guard']['line']}"))
    return tuple(lines)


def _fix(case: Case, name: str, row: ImportTrace) -> Fix:
    command, new = rename(case, row["winner"], name)
    steps = [f"Where your own code means the local file, import it as {new}."]
    if not row.get("losers"):
        steps.append(f"Install {name} into this interpreter if the script needs it.")
    return Fix(f"Rename {shown(case, row['winner']['file'])}: `{command}`.", tuple(steps), (command,))
