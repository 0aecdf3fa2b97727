"""Units of a layer are clones of each other."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.handmade import constant_matrices
from cognate.rules.needs import missing
from cognate.rules.source import first_call
from cognate.rules.training import parameters, short, where


def _model(clones: bool) -> dict:
    row = {"requires_grad": True, "shape": [16, 8], "windows": 9, "optimizer": "optimizer#0", "grad": "present"}
    rows = [row | {"name": f"net.{i}.weight", "clones": clones} for i in (0, 2)] + [
        row | {"name": "net.4.weight", "clones": False}
    ]
    return {"roots": [{"cls": "Net", "parameters": rows}]}


@rule(
    code="MODEL106",
    name="model-symmetric-init",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    explains={
        "loss-not-decreasing",
        "opt-lr-too-low",
        "data-input-label-misaligned",
        "grad-vanishing",
        "grad-none-or-zero-param",
    },
    core=True,
    sources={
        "least": "known trap, step-0 artefacts: look again after two effective steps; zero-initialised parts have moved by then"
    },
    fires=Example(model=_model(True)),
    quiet=Example(model=_model(False)),
)
def model_symmetric_init(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Constant initialisation: all units of a layer have the same weights and stay clones, so the layer acts as a single unit.

    Equal weights receive equal gradients; nothing breaks the symmetry but random biases, slowly. Zero-initialised outputs, LoRA's
    B and norm scales are healthy, because their units part after the first steps: layers whose rows are still equal later are
    counted, and networks in which most layers started with one and the same number other than zero.
    """
    if missed := missing(case, "model"):
        yield from _by_hand(case, missed)
        return
    weights = [
        p for p in parameters(case)
        if len(p.get("shape", [])) >= 2 and p["shape"][0] > 1 and p.get("requires_grad") and p.get("windows", 0) >= least
    ]  # fmt: skip
    if not weights:
        yield Skip("no weight matrix was followed over three steps", "")
        return
    clones = [p["name"] for p in weights if p.get("clones") and p.get("optimizer")] or _alike_at_first(case, weights)
    if not clones:
        yield Clear(f"the units of {len(weights)} weight tensors differ from each other")
        return
    frozen = [p for p in weights if p["name"] in clones and p.get("grad") == "none"]
    if len(frozen) == len(clones):
        yield Clear("the only uniform weights receive no gradient, which is another rule's subject")
        return
    still = any(p.get("clones") for p in weights if p["name"] in clones)
    site = first_call(case, "constant_", "zeros_", "ones_", "fill_", "zero_")
    yield Finding(
        title=f"symmetric initialisation: all units of {short(clones)} {'have' if still else 'began with'} identical weights "
        f"(constant init){' and remain clones of each other' if still else ', and random biases alone tell them apart'}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                f"weight tensors whose rows are all equal {'after' if still else 'before'} training began",
                len(clones),
                "0",
                "model.json",
            ),
        ),
        location=Location.of(site, clones[0].rpartition(".")[0]),
        onset_step=0,
        fix=Fix("Initialise weights randomly (Kaiming or Xavier); constants are for biases and norm scales."),
    )


def _by_hand(case: Case, missed: tuple[str, str]) -> Iterator[Said]:
    """Without a module there is the source alone, which does not tell what was executed."""
    made = constant_matrices(case)
    if not made:
        yield Skip(*missed)
        return
    yield Finding(
        title=f"symmetric initialisation: each weight matrix made at {where(made[0].site)} holds one number, so the units "
        "of a layer are clones of each other",
        proof=Proof.SOURCE,
        severity=Severity.WARNING,
        evidence=(Evidence("matrices of one number / others", [sum(m.times for m in made), 0], "0 / all"),),
        location=Location.of(made[0].site),
        onset_step=0,
        fix=Fix("Draw the weights: torch.randn(fan_in, fan_out) * fan_in ** -0.5; constants are for biases."),
    )


def _alike_at_first(case: Case, weights: list[dict]) -> list[str]:
    """Layers whose elements all started equal and not zero, where that is more than half of the network's layers."""
    alike = [
        p["name"] for p in weights if p.get("optimizer") and (start := p.get("start", {})).get("most", 0.0) > 0
        and start.get("std", 1.0) <= 1e-6 * start["most"] and p["name"].endswith("weight") and not p.get("loaded")
    ]  # fmt: skip
    layers = [p for p in weights if p["name"].endswith("weight")]
    return alike if len(alike) >= 2 and 2 * len(alike) > len(layers) else []
