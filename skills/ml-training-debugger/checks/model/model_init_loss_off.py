"""The first loss lies far above that of a uniform guess."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.layers import weights_at_start
from cognate.rules.source import first_call
from cognate.rules.training import modules, number, parameters


def _probe(value: float) -> dict:
    result = {"value": value, "classes": 65, "expected": 4.174, "kind": "logits"}
    return {"probe": "first_loss", "status": "ok", "step": 1, "result": result}


def _model(loaded: bool = False) -> dict:
    row = {"name": "embed.weight", "shape": [65, 64], "requires_grad": True, "start": {"std": 1.0, "mean": 0.0, "most": 4.0}}
    return {"roots": [{"cls": "Net", "loaded": loaded, "modules": [{"name": "embed", "cls": "Embedding"}], "parameters": [row]}]}


@rule(
    code="MODEL124",
    name="model-init-loss-off",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"probe.first_loss", "model"},
    sources={
        "ratio": "our calibration: 118 programs begin at 0.98 to 1.25 times ln(classes), the rule of Karpathy's recipe",
        "excess": "our calibration: with few classes a batch's own noise is a good part of ln(classes); one nat is none",
        "late": "our calibration: a tenth of the run spent on squeezing the logits is a loss that matters",
    },
    fires=Example(probes=[_probe(31.0)], model=_model()),
    quiet=Example(probes=[_probe(4.2)], model=_model()),
)
def model_init_loss_off(case: Case, *, ratio: float = 1.5, excess: float = 1.0, late: float = 0.1) -> Iterator[Said]:
    """The first loss is far above ln(classes): an untrained model is sure of wrong answers, because its logits start too large.

    The first part of training is then spent on shrinking the output layer instead of learning. Usual places: an embedding with
    torch's standard deviation of 1 that is tied to the output layer, an output layer without a small initialisation, a missing
    normalisation before it. Weights that were loaded are not judged.
    """
    result = case.probe("first_loss")[-1]["result"]
    value, expected = result.get("value"), result["expected"]
    if value is None:
        yield Skip("the first loss is not finite", "")
        return
    if any(root.get("loaded") for root in case.model.get("roots", [])):
        yield Skip("weights were loaded, so the first loss is that of a trained model", "")
        return
    if result.get("kind") != "logits" or value < ratio * expected or value < expected + excess:
        yield Clear(f"the first loss is {number(value)}, a uniform guess over {result['classes']} classes has {number(expected)}")
        return
    name, how = _largest(case)
    losses = [row["loss"] for row in case.metrics if row.get("loss") is not None]
    until = next((index for index, loss in enumerate(losses) if loss < expected), len(losses))
    harmful = len(losses) >= 20 and until > late * len(losses)
    yield Finding(
        title=f"the first loss is {number(value)} where a uniform guess over {result['classes']} classes has {number(expected)}: "
        f"the logits start too large{f' ({how})' if how else ''}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("first training loss", value, f"about ln({result['classes']}) = {number(expected)}", "probe first_loss"),
            Evidence("steps until the loss was below a uniform guess", until, "none, or a few"),
        ),
        location=Location.of(first_call(case, "Embedding" if "tied" in how else "Linear"), name.rpartition(".")[0] or None),
        onset_step=0,
        severity=Severity.ERROR if harmful else Severity.WARNING,
        fix=Fix(
            "Initialise the output layer (and an embedding that is tied to it) with a standard deviation of about 0.02 or "
            "1/√width, or scale the logits by 1/√width."
        ),
    )


def _largest(case: Case) -> tuple[str, str]:
    """The weight that makes the logits large, and a word on it: a tied or wide embedding, or the last wide layer."""
    known = modules(case)
    for parameter in parameters(case):
        home = parameter["name"].rpartition(".")[0]
        std = parameter.get("start", {}).get("std", 0.0)
        shape = parameter.get("shape", [])
        table = known.get(home, {}).get("cls") == "Embedding" and len(shape) == 2
        if table and std * shape[1] ** 0.5 > 3 and _has_no_head(case, parameter):
            name = parameter["name"]
            return name, f"{name}, tied to the output, starts with a standard deviation of {std:.2g}"
    wide = [(p["name"], gain) for p, gain in weights_at_start(case) if gain > 3]
    return (wide[-1][0], f"{wide[-1][0]} starts {wide[-1][1]:.2g}/√fan-in wide") if wide else ("", "")


def _has_no_head(case: Case, embedding: dict) -> bool:
    """Whether no other matrix has one row a token: the embedding then makes the logits, too."""
    return not any(
        p["name"] != embedding["name"] and p.get("shape", [])[:1] == embedding["shape"][:1] and len(p["shape"]) == 2
        for p in parameters(case)
    )
