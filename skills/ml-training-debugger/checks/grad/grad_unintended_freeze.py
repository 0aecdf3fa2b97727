"""A new or last layer is frozen with random weights."""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.flow import flows
from cognate.rules.source import called
from cognate.rules.training import parameters, short, where


def _model(frozen_head: bool) -> dict:
    row = {
        "shape": [5, 8],
        "windows": 9,
        "moved": True,
        "requires_grad": True,
        "optimizer": "optimizer#0",
        "seen_at": 0,
        "grad": "present",
    }
    head = row | ({"requires_grad": False, "moved": False, "grad": "unseen", "seen_at": 90} if frozen_head else {})
    rows = [row | {"name": "body.weight"}, head | {"name": "head.weight"}]
    return {"roots": [{"cls": "Net", "parameters": rows}], "optimizers": [{"label": "optimizer#0", "steps": 90, "groups": []}]}


@rule(
    code="GRAD110",
    name="grad-unintended-freeze",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={"loss-not-decreasing", "opt-lr-too-low", "data-input-label-misaligned", "grad-none-or-zero-param"},
    sources={"share": "taxonomy, grad-unintended-freeze: under 1 % trainable without adapters (our proposal there)"},
    fires=Example(model=_model(True)),
    quiet=Example(model=_model(False)),
)
def grad_unintended_freeze(case: Case, *, share: float = 0.01) -> Iterator[Said]:
    """requires_grad=False hits more than it was meant to: a new, randomly initialised output layer is frozen and never trained.

    A name filter that matches too much, a loop over all parameters after the new head was attached. Frozen parts that were
    trained or loaded before are frozen on purpose; a last layer that is random is not.
    """
    found = False
    for root in case.model.get("roots", []):
        rows = root.get("parameters", [])
        weights = [p for p in rows if len(p.get("shape", [])) >= 2]
        if len(weights) < 2 or root.get("loaded") or not any(p.get("optimizer") for p in rows):
            continue
        frozen = [p for p in weights if not p["requires_grad"] and not p.get("moved") and not p.get("loaded")]
        oldest, newest = (ends(p.get("seen_at", 0) for p in rows) for ends in (min, max))
        late = [p for p in frozen if p.get("seen_at", 0) == newest > oldest]
        last = [p for p in frozen if p is weights[-1] and not late and _earlier_trained(weights) and _learns_through(case, p)]
        caught = _caught_inside_a_word(case, frozen, rows) if not (late or last) else []
        guilty = late or last or caught
        if guilty:
            found = True
            names = [p["name"] for p in guilty]
            site = _freezing(case)
            yield Finding(
                title=f"{short(names)} is frozen by requires_grad=False{f' at {where(site)}' if site else ''} although it "
                "is new and random: "
                + ("the name filter catches it by a part of a word" if caught else "the output layer is never trained"),
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence(
                        "frozen weight tensors that never changed since they were made", short(names, 6), "none", "model.json"
                    ),
                    Evidence("first seen at step", guilty[0].get("seen_at")),
                ),
                location=Location.of(site, names[0].rpartition(".")[0]),
                onset_step=int(guilty[0].get("seen_at", 0)),
                fix=Fix(
                    "Freeze first and attach the new layer afterwards, or make the name filter exact; then check requires_grad."
                ),
            )
    if not found:
        trainable = [p for p in parameters(case) if p.get("requires_grad")]
        yield Clear(f"{len(trainable)} trainable tensors; no new or last layer is frozen")


def _earlier_trained(weights: Sequence[Mapping[str, object]]) -> bool:
    return any(p.get("moved") and p.get("requires_grad") for p in weights[:-1])


def _caught_inside_a_word(case: Case, frozen: Sequence[Any], rows: Sequence[Any]) -> list[Any]:
    """Of the `frozen` weights, those whose name holds the filter's word inside another word: "enc" in "sequence".

    Only where the same filter froze others by a whole word or its beginning, which is what it was written for.
    """
    for word in sorted(_filters(case)):
        held = [str(p["name"]) for p in rows if not p.get("requires_grad") and word in str(p["name"])]
        meant = {name for name in held if re.search(rf"(^|[._]){re.escape(word)}", name)}
        inside = [p for p in frozen if p["name"] in held and p["name"] not in meant]
        if meant and inside:
            return inside
    return []


def _filters(case: Case) -> set[str]:
    """Words that parameters' names are asked for where requires_grad is switched off."""
    words: set[str] = set()
    for tree in case.trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "requires_grad" in "".join(ast.dump(part) for part in node.body):
                for part in ast.walk(node.test):
                    asked = isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.In) and part.left
                    if isinstance(asked, ast.Constant) and isinstance(asked.value, str):
                        words.add(asked.value)
    return words


def _learns_through(case: Case, weight: Mapping[str, object]) -> bool:
    """Whether gradients pass `weight` on their way to trained layers below it: not so in a fixed target, a teacher, a loss."""
    return any(node.get("ig") for graph in flows(case) for node in graph.using(str(weight["name"])))


def _freezing(case: Case) -> dict | None:
    """The first line that sets requires_grad to False."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and any(
                isinstance(t, ast.Attribute) and t.attr == "requires_grad" for t in node.targets
            ):
                return {"file": file, "line": node.lineno}
            if isinstance(node, ast.Call) and called(node) == "requires_grad_":
                given = node.args[0] if node.args else None
                if isinstance(given, ast.Constant) and given.value is False:
                    return {"file": file, "line": node.lineno}
    return None
