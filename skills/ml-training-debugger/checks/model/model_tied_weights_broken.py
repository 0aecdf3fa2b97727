"""Weights that the source ties are separate in the model."""

import ast
from collections.abc import Iterator

from cognate.case.schema import ParameterInfo
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.training import where

_SOURCE = {"model.py": "class LM:\n    def __init__(self):\n        self.head.weight = self.emb.weight\n"}


def _model(tied: bool) -> dict:
    rows = [{"name": "emb.weight", "shape": [50, 8], "storage": 1}]
    rows += [] if tied else [{"name": "head.weight", "shape": [50, 8], "storage": 2}]
    return {"roots": [{"cls": "LM", "parameters": rows}]}


@rule(
    code="MODEL108",
    name="model-tied-weights-broken",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model", "source"},
    fires=Example(model=_model(False), source=_SOURCE),
    quiet=Example(model=_model(True), source=_SOURCE),
)
def model_tied_weights_broken(case: Case) -> Iterator[Said]:
    """Tied weights are broken: the source ties head and embedding, but in the model they are two separate parameters.

    Something replaced one of them after the tie: a resize, a re-initialisation that assigns a new Parameter, a copy of the
    data in place of the object, a load or wrap. The two then drift apart, and the parameter count is higher than meant.
    """
    ties = list(_ties(case))
    lost = next(_lost(case), None)
    if lost:
        yield lost
        return
    if not ties:
        yield Skip("the source ties no weights", "")
        return
    for root in case.model.get("roots", []):
        rows = {p["name"]: p for p in root.get("parameters", [])}
        for file, line, left, right, copied in ties:
            a, b = (next((p for n, p in rows.items() if n == name or n.endswith(f".{name}")), None) for name in (left, right))
            if a is None or b is None or a["shape"] != b["shape"] or a["storage"] == b["storage"]:
                continue
            site = {"file": file, "line": line}
            how = (
                "copies the values instead of sharing the parameter" if copied else "ties them, but they are separate objects now"
            )
            yield Finding(
                title=f"tied weights are broken: {where(site)} {how}: {a['name']} and {b['name']} have their own storage",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence("storage of the two parameters", "different", "the same", "model.json"),
                    Evidence("shape", a["shape"]),
                ),
                location=Location.of(site),
                onset_step=0,
                fix=Fix(
                    "Assign the parameter object (head.weight = embedding.weight) after every resize, load, wrap or "
                    "re-initialisation."
                ),
            )
            return
    yield Clear("the weights that the source ties share their storage")


def _lost(case: Case) -> Iterator[Finding]:
    """Heads that multiplied by an embedding's weight in a traced step and by one of their own in a later one."""
    graphs = list(flows(case))
    roots = case.model.get("roots", [])
    if len(roots) != 1 or any("tie_word_embeddings" in text for text in case.source.values()):
        return  # with a second model a name says little, and who names the switch means it
    rows = {p["name"]: p for p in roots[0].get("parameters", [])}
    shared: dict[str, str] = {}
    for graph in graphs:
        looked_up = {p for node in graph.nodes if node["op"] == "embedding" for p in node.get("p", ())}
        for node in graph.nodes:
            if node["op"] != "linear" or not node.get("m") or not node.get("p"):
                continue
            name, used = str(node["m"]), node["p"][0]
            own = rows.get(f"{name}.weight")
            if used in looked_up and used != f"{name}.weight":
                shared[name] = used
            elif own and used == own["name"] and name in shared:
                other = rows.get(shared[name])
                if other and other["shape"] == own["shape"] and other["storage"] != own["storage"]:
                    yield _parted(case, name, other, own, int(node["w"]))


def _parted(case: Case, name: str, other: ParameterInfo, own: ParameterInfo, step: int) -> Finding:
    site = _replaced_at(case, name) or _replaced_at(case, other["name"].rpartition(".")[0])
    return Finding(
        title=f"tied weights are broken: {name} multiplied by {other['name']} at first, and has its own weight by step {step}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(f"weight that {name} used at first / later", [other["name"], own["name"]], "one", "trace.jsonl"),
            Evidence("storage of the two parameters", "different", "the same", "model.json"),
            Evidence("shape", own["shape"]),
        ),
        location=Location.of(site, name),
        onset_step=step,
        fix=Fix(f"Tie again after the replacement: {name}.weight = {other['name']} (or model.tie_weights())."),
    )


def _replaced_at(case: Case, module: str) -> dict | None:
    """The last assignment of a new object to an attribute called as `module` is, or to the weight of it."""
    last = module.rpartition(".")[2]
    found = [
        {"file": file, "line": node.lineno}
        for file, tree in case.trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and any(_names(target, last) for target in node.targets)
    ]
    return found[-1] if found else None


def _names(target: ast.AST, last: str) -> bool:
    if isinstance(target, ast.Attribute) and target.attr == "weight":
        target = target.value
    return isinstance(target, ast.Attribute) and target.attr == last


def _ties(case: Case) -> Iterator[tuple[str, int, str, str, bool]]:
    """Assignments of one module's weight to another's: (file, line, left name, right name, whether only the data is copied)."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                left, right = _weight(node.targets[0]), _weight(node.value)
                if left and right and left[0] != right[0]:
                    yield file, node.lineno, left[0], right[0], left[1] or right[1]


def _weight(node: ast.AST) -> tuple[str, bool] | None:
    """(name of the form part.weight, whether .data or a copy is taken) for `self.part.weight` and its spellings."""
    copied = False
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("clone", "detach", "Parameter"):
        copied = True
        node = node.args[0] if node.func.attr == "Parameter" and node.args else node.func.value
        inner = _weight(node)
        return (inner[0], True) if inner else None
    if isinstance(node, ast.Attribute) and node.attr == "data":
        copied, node = True, node.value
    if isinstance(node, ast.Attribute) and node.attr == "weight" and isinstance(node.value, ast.Attribute):
        return f"{node.value.attr}.weight", copied
    return None
