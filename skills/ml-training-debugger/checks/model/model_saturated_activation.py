"""Hidden tanh or sigmoid units are pinned at their ends from the start."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import Flow, Node, flows
from cognate.rules.layers import WEIGHTED, first_activations, initialised_at, is_layer, weights_at_start
from cognate.rules.training import number, short, where

SQUASHING = ("Tanh", "Sigmoid")
ENOUGH = 64  # outputs: a share of fewer is noise


def _layers(pinned: float) -> list[dict]:
    tanh = {"cls": "Tanh", "saturated": pinned, "rows": 64, "units": 64, "std": 1.0, "mean_abs": 1.0}
    linear = {"cls": "Linear", "std": 1.0, "mean_abs": 1.0}
    return [{"step": step, "activation": {"1": tanh, "2": linear}} for step in (0, 1, 2, 4, 8)]


def _model(std: float) -> dict:
    row = {"name": "0.weight", "shape": [64, 16], "requires_grad": True, "start": {"std": std, "mean": 0.0, "most": 3 * std}}
    return {"roots": [{"cls": "Net", "modules": [{"name": "0", "cls": "Linear"}], "parameters": [row]}]}


@rule(
    code="MODEL122",
    name="model-saturated-activation",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"layers", "model"},
    explains={
        "loss-not-decreasing", "loss-plateau", "opt-lr-too-low", "data-input-label-misaligned", "model-init-variance",
        "model-init-loss-off", "grad-none-or-zero-param", "opt-lr-too-high", "opt-weights-diverge", "grad-exploding",
        "loss-diverging", "loss-nonfinite",
    },
    sources={
        "share": "SageMaker Debugger and TheDeepChecker: more than half of a layer",
        "gain": "twice He's 1.41, the largest gain in use for hidden layers (He et al. 2015): above it the weights are to blame",
    },
    fires=Example(layers=_layers(0.9), model=_model(5.0)),
    quiet=Example(layers=_layers(0.02), model=_model(0.25)),
)  # fmt: skip
def model_saturated_activation(case: Case, *, share: float = 0.5, gain: float = 2.8) -> Iterator[Said]:
    """Hidden tanh or sigmoid units are saturated from the start: weights are so large that their slope is zero nearly everywhere.

    A unit at ±1 (or 0 and 1) passes no gradient on, so the layers below learn nothing or by chance. Counted at the first steps,
    as outputs within 1e-4 of an end. Units that become certain in the course of training (gates, halting, a confident output) are
    healthy or a consequence, and inputs of a large scale are another rule's subject: here the weights must be too large.
    """
    seen = {**_by_module(case), **_by_operation(case)}
    if not seen:
        yield Skip("no hidden tanh or sigmoid was seen in the first steps", "")
        return
    pinned = {name: found for name, found in seen.items() if found[0] > share}
    if not pinned:
        worst = max(found[0] for found in seen.values())
        yield Clear(f"at most {worst:.0%} of a hidden layer's tanh or sigmoid outputs are pinned at the first steps")
        return
    wide = {p["name"]: size for p, size in weights_at_start(case) if size > gain}
    if not wide:
        yield Clear(f"{short(list(pinned))} saturate, but the weights have a usual scale: it is their input that is too large")
        return
    name = max(pinned, key=lambda n: pinned[n][0])
    level, kind, ran = pinned[name]
    site = initialised_at(case) or ran
    worst_weight = max(wide, key=lambda n: wide[n])
    yield Finding(
        title=f"saturated {kind} units: {level:.0%} of the outputs of {name} lie at an end from the first steps on, because "
        f"weights start {wide[worst_weight]:.3g}/√fan-in wide ({short(list(wide))}); no gradient passes them",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(f"share of outputs of {name} within 1e-4 of an end", round(level, 4), f"≤ {share}", "layers.jsonl"),
            Evidence(
                f"gain of {worst_weight} (standard deviation × √fan-in)", number(wide[worst_weight]), f"≤ {gain}", "model.json"
            ),
            Evidence("layers above the bound", sorted(pinned)),
            Evidence("applied at", where(ran)),
        ),
        location=Location.of(site, name),
        onset_step=0,
        fix=Fix("Initialise with a gain that fits the activation (Xavier: 5/3 for tanh, 1 for sigmoid), or drop the scaling."),
    )


Pinned = tuple[float, str, "dict | None"]


def _by_module(case: Case) -> dict[str, Pinned]:
    """Activation modules that another layer follows."""
    found: dict[str, Pinned] = {}
    order = list(first_activations(case).items())
    for place, (name, record) in enumerate(order):
        later = any(str(other.get("cls", "")).startswith(WEIGHTED) for _, other in order[place + 1 :])
        if record.get("cls") in SQUASHING and later and record.get("rows", 0) * record.get("units", 0) >= ENOUGH:
            found[name] = (record.get("saturated", 0.0), str(record["cls"]).lower(), None)
    return found


def _by_operation(case: Case) -> dict[str, Pinned]:
    """Functions applied in a forward, by what they belong to; traced at the second step."""
    found: dict[str, Pinned] = {}
    for graph in flows(case)[:1]:
        for node in graph.nodes:
            if "pinned" in node and node.get("g") and node["w"] <= 1 and _feeds_a_layer(graph, node):
                name = str(node.get("m", node["op"]))
                if node["pinned"] >= found.get(name, (0.0, "", None))[0]:
                    found[name] = (node["pinned"], node["op"], node.get("site"))
    return found


def _feeds_a_layer(graph: Flow, node: Node) -> bool:
    return any(is_layer(other) for other in graph.downstream(node) if other is not node)
