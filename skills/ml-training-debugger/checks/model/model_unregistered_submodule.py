"""Submodules are kept where PyTorch does not see them."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.source import class_named
from cognate.rules.training import short, where


def _model(entries: list[dict]) -> dict:
    return {"roots": [{"cls": "Net", "unregistered": entries, "parameters": []}]}


_ENTRY = {"module": "", "attribute": "blocks[0]", "cls": "Linear", "owner": "Net", "numel": 72, "grad": True, "owned": False}


@rule(
    code="MODEL102",
    name="model-unregistered-submodule",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={"loss-not-decreasing", "opt-params-missing", "data-input-label-misaligned"},
    core=True,
    fires=Example(model=_model([_ENTRY])),
    quiet=Example(model=_model([])),
)
def model_unregistered_submodule(case: Case) -> Iterator[Said]:
    """Submodules in a plain Python list or dict are not registered: parameters() does not see them and they are never trained.

    They take part in the forward and even receive gradients, but the optimizer, .to(device), state_dict and the parameter count
    miss them. Use nn.ModuleList, nn.ModuleDict or nn.Parameter. A frozen teacher kept out of the tree on purpose gets no gradient
    and is left alone.
    """
    entries = [
        (root.get("cls"), e) for root in case.model.get("roots", []) for e in root.get("unregistered", [])
        if e.get("grad") and not e.get("owned")
    ]  # fmt: skip
    if not entries:
        yield Clear("every module and parameter that receives a gradient is registered")
        return
    first = entries[0][1]
    attribute = first["attribute"].split("[")[0]
    site = _assignment(case, first["owner"], attribute)
    names = [e["attribute"] for _, e in entries]
    yield Finding(
        title=f"{short(names)} of {first['owner']} are not registered (kept in a plain "
        f"{'list or dict' if '[' in names[0] else 'attribute'}"
        f"{f' at {where(site)}' if site else ''}): they are missing from parameters() and never trained",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("unregistered modules or tensors that receive a gradient", len(entries), "0", "model.json"),
            Evidence("parameters in them", sum(e.get("numel", 0) for _, e in entries)),
        ),
        location=Location.of(site, first["module"] or None),
        onset_step=0,
        fix=Fix(f"Wrap it: self.{attribute} = nn.ModuleList([...]) (nn.ModuleDict for a dict, nn.Parameter for a tensor)."),
    )


def _assignment(case: Case, cls: str, attribute: str) -> dict | None:
    found = class_named(case, cls)
    for node in ast.walk(found[1]) if found else ():
        if not isinstance(node, (ast.Assign, ast.AnnAssign)):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        if found and any(isinstance(t, ast.Attribute) and t.attr == attribute for t in targets):
            return {"file": found[0], "line": node.lineno, "function": f"{cls}.__init__"}
    return None
