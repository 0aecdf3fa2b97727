"""The optimizer holds parameters that the model no longer uses."""

import ast
from collections.abc import Iterator, Mapping
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import parameters, short, where

_SITE = {"file": "train.py", "line": 30, "function": "main"}


def _model(owner: str | None, orphans: list[dict]) -> dict:
    row = {"requires_grad": True, "grad": "present", "windows": 9, "shape": [5, 8], "moved": owner is not None}
    parameters_ = [row | {"name": "head.weight", "optimizer": owner}, row | {"name": "body.weight", "optimizer": "optimizer#0"}]
    optimizer = {"label": "optimizer#0", "cls": "Adam", "site": _SITE, "steps": 40, "orphans": orphans}
    return {"roots": [{"cls": "Net", "parameters": parameters_}], "optimizers": [optimizer]}


@rule(
    code="OPT101",
    name="opt-stale-params",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={"opt-params-missing", "loss-not-decreasing", "opt-step-no-effect", "data-input-label-misaligned", "opt-lr-too-low"},
    core=True,
    sources={"least": "known trap, step-0 artefacts: look again after two effective steps"},
    fires=Example(model=_model(None, [{"group": 0, "shape": [8, 8]}])),
    quiet=Example(model=_model("optimizer#0", [])),
)
def opt_stale_params(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The optimizer was created before a module was replaced: it still holds the old parameters, the new ones never change.

    An optimizer keeps references to parameter objects. Replacing a head, resizing an embedding, wrapping or moving the model
    afterwards makes new objects that are in no param group: they receive gradients but are never updated.
    """
    optimizers = [o for o in case.model.get("optimizers", []) if o.get("steps", 0) >= least]
    stale = [o for o in optimizers if o.get("orphans")]
    owned_by = {o["label"] for o in optimizers}
    left_out = [
        p
        for p in parameters(case)
        if p.get("requires_grad")
        and p.get("grad") == "present"
        and p.get("windows", 0) >= least
        and not p.get("moved")
        and p.get("optimizer") not in owned_by
    ]
    if not stale or not left_out:
        yield Clear(f"all parameters of {len(optimizers)} optimizer(s) belong to a module of the model")
        return
    optimizer = stale[-1]
    shapes = short([str(tuple(o["shape"])) for o in optimizer["orphans"]])
    names = [p["name"] for p in left_out]
    replaced = _replacement(case, names, optimizer.get("site"))
    also = f", replaced at {where(replaced)} afterwards" if replaced else ""
    yield Finding(
        title=f"the optimizer of {where(optimizer.get('site'))} was built before {short(names)} existed{also}: it still "
        f"holds the old "
        f"parameters, and the new ones are not in the optimizer",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("parameters in the optimizer that no module holds", f"{len(optimizer['orphans'])} of shapes {shapes}", "0"),
            Evidence("trainable parameters with gradient that no optimizer updates", short(names, 6), "none", "model.json"),
        ),
        location=Location.of(optimizer.get("site")),
        onset_step=0,
        fix=Fix("Replace, wrap or move the modules first and build the optimizer afterwards."),
    )


def _replacement(case: Case, names: list[str], site: Mapping[str, Any] | None) -> dict | None:
    """The assignment `something.MODULE = …` that made the parameters `names`, at or after the optimizer's line."""
    tops = {name.split(".")[0] for name in names}
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Attribute) and node.targets[0].attr in tops:
                inside_class = ast.unparse(node.targets[0].value) == "self"
                if not inside_class and site and site.get("file") == file and node.lineno >= site.get("line", 0):
                    return {"file": file, "line": node.lineno}
    return None
