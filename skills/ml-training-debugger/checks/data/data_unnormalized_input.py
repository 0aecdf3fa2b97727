"""The input has a scale far from one."""

from collections.abc import Iterator

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.inputs import data_place
from cognate.rules.training import number, where


def _events(scale: float) -> list[dict]:
    tensor = {"shape": [32, 8], "dtype": "float32", "mean": scale / 2, "std": scale, "min": 0.0, "max": 2 * scale}
    base = {"kind": "forward", "grad": True, "training": True, "inputs": [tensor], "site": {"file": "t.py", "line": 3}}
    return [base | {"step": s} for s in range(6)]


@rule(
    code="DATA102",
    name="data-unnormalized-input",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"events.forward", "model"},
    explains={
        "loss-not-decreasing", "loss-diverging", "model-dead-relu", "model-saturated-activation", "opt-lr-too-high",
        "grad-exploding",
        "model-init-loss-off", "loss-nonfinite", "data-input-label-misaligned", "opt-lr-too-low",
    },
    core=True,
    sources={
        "scale": "initialisations assume unit variance (Glorot & Bengio 2010); ten times that is beyond every common "
            "pre-processing",
    },
    fires=Example(events=_events(80.0), model={"roots": [{"modules": [{"name": "0", "cls": "Linear"}]}]}),
    quiet=Example(events=_events(1.0), model={"roots": [{"modules": [{"name": "0", "cls": "Linear"}]}]}),
)  # fmt: skip
def data_unnormalized_input(case: Case, *, scale: float = 10.0) -> Iterator[Said]:
    """The input is not normalised: raw values of a large scale (pixels of 0–255, unscaled features) go into the model.

    Initialisations and learning rates assume inputs of about unit variance. Raw scales saturate or kill activations, make one
    feature dominate, and force a tiny learning rate. A model that normalises its input first is left alone.
    """
    looked = [e for e in case.events("forward", grad=True) if e.get("inputs") and "std" in e["inputs"][0]]
    if not looked:
        yield Skip("the model takes no floating-point input", "")
        return
    sizes = [max(abs(e["inputs"][0]["mean"]), e["inputs"][0]["std"]) for e in looked]
    typical = sorted(sizes)[len(sizes) // 2]
    if typical < scale or _normalises_first(case):
        yield Clear(f"the input's scale is {number(typical)}")
        return
    first = looked[0]["inputs"][0]
    losses = loss_series(case)
    bad = losses is not None and _stuck(list(losses.values))
    yield Finding(
        title=f"the input is not normalised: its values range from {number(first['min'])} to {number(first['max'])} "
        f"(standard deviation {number(first['std'])}) at {where(looked[0].get('site'))}",
        proof=Proof.MEASUREMENT,
        severity=Severity.ERROR if bad else None,
        evidence=(
            Evidence("scale of the input (larger of |mean| and standard deviation)", typical, "about 1", "events.jsonl"),
            Evidence("the loss", "does not fall as it should" if bad else "falls nevertheless"),
        ),
        location=Location.of(data_place(case, looked[0]) or looked[0].get("site")),
        onset_step=0,
        fix=Fix("Standardise the input with the training set's mean and standard deviation (or divide pixels by 255)."),
    )


def _normalises_first(case: Case) -> bool:
    for root in case.model.get("roots", []):
        parts = [m for m in root.get("modules", []) if m.get("name")]
        leaf = next((m for m in parts if not any(o["name"].startswith(m["name"] + ".") for o in parts)), None)
        if leaf and "Norm" in leaf.get("cls", ""):
            return True
    return False


def _stuck(values: list[float | None]) -> bool:
    finite = [v for v in values if v is not None]
    if len(finite) < len(values) or len(finite) < 10:
        return True
    head = sorted(finite[: max(3, len(finite) // 20)])
    tail = sorted(finite[-max(3, len(finite) // 5) :])
    return tail[len(tail) // 2] > 0.7 * head[len(head) // 2]
