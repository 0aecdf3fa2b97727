"""Trainable parameters receive gradients but belong to no optimizer."""

from collections.abc import Iterator

from cognate.case.schema import OptimizerInfo
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import parameters, short


def _model(owner: str | None) -> dict:
    row = {"requires_grad": True, "grad": "present", "windows": 9, "shape": [5, 8], "moved": owner is not None, "numel": 40}
    rows = [row | {"name": "head.weight", "optimizer": owner}, row | {"name": "body.weight", "optimizer": "optimizer#0"}]
    optimizer = {"label": "optimizer#0", "cls": "Adam", "steps": 40, "orphans": [], "site": {"file": "t.py", "line": 8}}
    return {"roots": [{"cls": "Net", "parameters": rows}], "optimizers": [optimizer]}


@rule(
    code="OPT102",
    name="opt-params-missing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={"loss-not-decreasing", "data-input-label-misaligned", "opt-lr-too-low"},
    core=True,
    sources={"least": "known trap, step-0 artefacts: look again after two effective steps"},
    fires=Example(model=_model(None)),
    quiet=Example(model=_model("optimizer#0")),
)
def opt_params_missing(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Trainable parameters are not in the optimizer: they receive gradients, and nothing ever updates them.

    They keep their random initial values for the whole run. Usual places: an optimizer built from one submodule's parameters,
    a list of param groups with one part forgotten, adapters added after the optimizer was made.
    """
    optimizers = [o for o in case.model.get("optimizers", []) if o.get("steps", 0) >= least]
    if not optimizers:
        return
    trained = [
        p for p in parameters(case) if p.get("requires_grad") and p.get("grad") == "present" and p.get("windows", 0) >= least
    ]
    # A part that was loaded, or that an earlier optimizer trained, may be held fixed on purpose; a random one is forgotten.
    missing = [p for p in trained if not p.get("optimizer") and not p.get("moved") and not p["loaded"]]
    if not missing:
        yield Clear(f"each of {len(trained)} trainable tensors with a gradient belongs to an optimizer")
        return
    names = [p["name"] for p in missing]
    numel = sum(p.get("numel", 0) for p in missing)
    site = _forgetful(optimizers, missing[0], parameters(case)).get("site")
    yield Finding(
        title=f"{short(names)} receive gradients but are not in any optimizer param group: they stay at their random "
        f"initial values",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("trainable tensors with a gradient that no optimizer owns", len(missing), "0", "model.json"),
            Evidence("parameters in them", numel),
            Evidence("changed since the start", "none of them"),
        ),
        location=Location.of(site, names[0].rpartition(".")[0] or None),
        onset_step=0,
        fix=Fix("Give the optimizer all trainable parameters, or set requires_grad=False on what is meant to stay fixed."),
    )


def _forgetful(optimizers: list[OptimizerInfo], missing: dict, known: list[dict]) -> OptimizerInfo:
    """The optimizer that should have had a parameter: the last one built of those that own others of the same model."""
    beside = {p.get("optimizer") for p in known if p["root"] == missing["root"]}
    return next((o for o in reversed(optimizers) if o.get("label") in beside), optimizers[-1])
