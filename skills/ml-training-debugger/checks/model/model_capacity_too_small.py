"""The model is too narrow for its task."""

import ast
from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import first_call
from cognate.rules.training import number, short


def _probe(last: float) -> dict:
    result = {
        "narrow": {"body.0.weight": 2},
        "width": 64,
        "model": {"first": 2.0, "last": last, "steps": 200},
        "wide": {"first": 2.2, "last": 0.08, "steps": 70},
    }
    return {"probe": "wider_network", "status": "ok", "step": 40, "result": result}


@rule(
    code="MODEL126",
    name="model-capacity-too-small",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"probe.wider_network"},
    explains={"loss-not-decreasing", "loss-plateau", "opt-lr-too-low", "data-input-label-misaligned"},
    sources={
        "stuck": "our calibration: on one batch, without regularisation, narrow nets that are wide enough lose nine tenths",
        "learned": "TheDeepChecker: a sound network learns a batch by heart to a few per cent",
    },
    fires=Example(probes=[_probe(1.7)]),
    quiet=Example(probes=[_probe(0.1)]),
)
def model_capacity_too_small(case: Case, *, stuck: float = 0.5, learned: float = 0.1) -> Iterator[Said]:
    """Too little capacity: the model cannot learn even one batch by heart, and a plain network of 64 hidden units can.

    A copy is trained on one batch with dropout off and a brisk Adam; what it cannot do there, no schedule and no more data will
    bring. Asked only where a hidden layer has eight units or fewer and where the output is not the input again: a bottleneck of
    an autoencoder is its point, and a model that is wide enough fails for other reasons.
    """
    result = case.probe("wider_network")[-1]["result"]
    model, wide = result["model"], result["wide"]
    left = model["last"] / model["first"] if model["first"] > 0 else 0.0
    reference = wide["last"] / wide["first"] if wide["first"] > 0 else 1.0
    if model["steps"] < wide["steps"]:
        yield Skip("the copy could not be trained as long as the wide network", "")
        return
    if left < stuck or reference > learned:
        yield Clear(
            f"trained on one batch, a copy keeps {left:.0%} of the loss and a network of {result['width']} units {reference:.0%}"
        )
        return
    narrow = result["narrow"]
    name = min(narrow, key=lambda n: narrow[n])
    yield Finding(
        title=f"the model is too small: {short([f'{n} ({w} units)' for n, w in narrow.items()])} let too little through; a copy "
        f"cannot learn one batch by heart (loss {number(model['first'])} → {number(model['last'])}), a network of "
        f"{result['width']} hidden units can (→ {number(wide['last'])})",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence("loss that is left on one batch, of this model", round(left, 3), f"< {stuck}", "probe wider_network"),
            Evidence(f"of a network with {result['width']} hidden units, equally long", round(reference, 3), f"≤ {learned}"),
            Evidence("narrowest hidden layer", f"{name}: {narrow[name]} units"),
        ),
        location=Location.of(_place(case, narrow[name]), name.rpartition(".")[0] or None),
        onset_step=0,
        fix=Fix(f"Widen the hidden layers: {narrow[name]} units are too few, try 32 or more, until one batch can be overfitted."),
    )


def _place(case: Case, width: int) -> dict | None:
    """Where the width is written: a setting of that value, else the layer."""
    for file, tree in case.trees.items():
        for node in ast.walk(tree):
            value = getattr(node, "value", None)
            if (
                isinstance(node, (ast.Assign, ast.AnnAssign, ast.keyword))
                and isinstance(value, ast.Constant)
                and value.value == width
            ):
                return {"file": file, "line": value.lineno}
    return first_call(case, "Linear")
