"""One tensor is updated at another scale than the rest."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import modules, number, parameters


def _parts(outlier: float) -> dict:
    names = [f"{n}.weight" for n in "abcde"]
    rows = [{"name": n, "shape": [8, 8], "optimizer": "optimizer#0", "group": 0, "requires_grad": True} for n in names]
    optimizer = {"label": "optimizer#0", "cls": "SGD", "steps": 90, "groups": [{"lr": 0.1}]}
    ratios = dict.fromkeys(names, 1e-3) | {"e.weight": outlier}
    layers = [{"step": s, "update_ratio": ratios, "param_norm": dict.fromkeys(names, 4.0)} for s in (8, 12, 17, 24)]
    return {"model": {"roots": [{"parameters": rows, "modules": []}], "optimizers": [optimizer]}, "layers": layers}


@rule(
    code="OPT128",
    name="opt-update-layer-outlier",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"model", "layers"},
    sources={
        "decades": "taxonomy, opt-update-layer-outlier: more than a decade above the median of its kind; here three times that",
        "harm": "TheDeepChecker: updates above a tenth of the weights; at a twentieth, step after step, nothing settles",
        "least": "our calibration: with fewer tensors of a kind there is no rest to compare with",
        "settled": "known trap, step-0 artefacts: tensors that start at zero move by all of themselves in the first steps",
    },
    fires=Example(**_parts(0.2)),
    quiet=Example(**_parts(4e-3)),
)
def opt_update_layer_outlier(
    case: Case, *, decades: float = 1.5, harm: float = 0.05, least: int = 4, settled: int = 8
) -> Iterator[Said]:
    """One weight matrix moves by a large part of itself in every step, while the others move by a thirtieth of that or less.

    A group with a rate of its own that is in the wrong unit, a layer that starts far smaller than the others, a scale factor in
    front of it. Compared among matrices only: scales, biases and embeddings differ by nature.
    """
    kinds = {name: str(m.get("cls")) for name, m in modules(case).items()}
    matrices = {
        p["name"]
        for p in parameters(case)
        if len(p.get("shape", [])) >= 2 and p.get("optimizer") and "Embedding" not in kinds.get(p["name"].rpartition(".")[0], "")
    }
    rows = [r for r in case.layers if int(r["step"]) >= settled and r.get("update_ratio")]
    seen = {n: [v for r in rows if (v := r["update_ratio"].get(n)) is not None] for n in matrices}
    typical = {name: median(values) for name, values in seen.items() if len(values) >= 3}
    if len(typical) < least:
        yield Skip(f"updates of fewer than {least} weight matrices are known", "run more steps")
        return
    name = max(typical, key=lambda key: (typical[key], key))
    rest = median(value for key, value in typical.items() if key != name)
    if typical[name] < harm or typical[name] < rest * 10**decades or rest <= 0:
        yield Clear(f"updates of {len(typical)} matrices lie between {number(min(typical.values()))} and {number(typical[name])}")
        return
    owner = next(p for p in parameters(case) if p["name"] == name)
    optimizer = next((o for o in case.model.get("optimizers", []) if o.get("label") == owner.get("optimizer")), None)
    groups = optimizer.get("groups", []) if optimizer else []
    rates = [g.get("lr") for g in groups]
    own = rates[owner.get("group") or 0] if rates else None
    yield Finding(
        title=f"{name} moves by {typical[name]:.0%} of itself in every step, {number(typical[name] / rest)} times as much as the "
        "other matrices",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("median |Δw|/|w| per step of this tensor", typical[name], f"about {number(rest)}", "layers.jsonl"),
            Evidence("learning rate of its group", own, f"groups: {rates}", "model.json"),
        ),
        location=Location.of(optimizer.get("site") if optimizer else None, name.rpartition(".")[0]),
        onset_step=int(rows[0]["step"]),
        fix=Fix("Give its group the rate of the others, or initialise the layer at their scale."),
    )
