"""Weight decay outweighs the data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from statistics import median
from typing import Any

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.places import setting_place
from cognate.rules.training import commonest_site, number, parameters


def _parts(decay: float) -> dict:
    rows = [{"name": f"{n}.weight", "shape": [64, 64], "optimizer": "optimizer#0", "group": 0, "numel": 4096} for n in "ab"]
    group = {"lr": 0.01, "weight_decay": decay}
    optimizer = {"label": "optimizer#0", "cls": "SGD", "steps": 90, "groups": [group]}
    layers = [
        {
            "step": s,
            "param_norm": dict.fromkeys(("a.weight", "b.weight"), 8.0 * 0.9 ** (s * min(1.0, decay))),
            "grad_norm": dict.fromkeys(("a.weight", "b.weight"), 0.01),
        }
        for s in (0, 2, 4, 8, 16)
    ]
    metrics = [{"step": s, "loss": 2.3, "lr": 0.01, "update_ratio": 0.02} for s in range(90)]
    return {"model": {"roots": [{"parameters": rows}], "optimizers": [optimizer]}, "layers": layers, "metrics": metrics}


@rule(
    code="OPT126",
    name="opt-overregularised",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"model", "layers"},
    explains={
        "loss-not-decreasing",
        "loss-plateau",
        "grad-vanishing",
        "opt-lr-too-low",
        "opt-lr-too-high",
        "data-input-label-misaligned",
    },
    sources={
        "times": "TheDeepChecker: the regulariser's gradient above twice that of the data",
        "shrunk": "our calibration: weights that learn keep or gain norm; a tenth less, under a loss that stays, is taken away",
        "gain": "our calibration, as for opt-lr-too-low: less than a tenth is no descent",
    },
    fires=Example(**_parts(1.0)),
    quiet=Example(**_parts(1e-4)),
)
def opt_overregularised(case: Case, *, times: float = 2.0, shrunk: float = 0.9, gain: float = 0.1) -> Iterator[Said]:
    """Weight decay pulls harder than the data: the weights shrink and the loss stays where it is.

    Coupled decay (SGD, Adam) adds weight_decay·w to the gradient, decoupled decay (AdamW) takes lr·weight_decay of the weight at
    each step. Where that is more than what the data moves, the weights go to zero and the prediction to a constant. A strong
    decay under which the loss falls is a choice, and let pass.
    """
    decayed = [
        (o, index, group)
        for o in case.model.get("optimizers", [])
        for index, group in enumerate(o.get("groups", []))
        if (group.get("weight_decay") or 0.0) > 0 and o.get("steps")
    ]
    if not decayed:
        yield Clear("no weight decay")
        return
    fall = _fall(case)
    if fall is None or len(case.layers) < 4:
        yield Skip("too few losses or weights were measured", "run more steps")
        return
    for optimizer, index, group in decayed:
        names = _matrices(case, optimizer["label"], index)
        left, pull = _left(case, names), _pull(case, optimizer, group, names)
        if left is not None and pull is not None and left < shrunk and pull > times and fall < gain:
            built = commonest_site([optimizer])
            site = setting_place(case, built, "weight_decay", group["weight_decay"]) or built
            yield replace(_finding(group, left, pull, fall), location=Location.of(site))
            return
    yield Clear(f"with weight decay up to {max(g['weight_decay'] for _, _, g in decayed):g} the loss falls by {fall:.0%}")


def _matrices(case: Case, label: str, index: int) -> set[str]:
    mine = [p for p in parameters(case) if p.get("optimizer") == label and (p.get("group") or 0) == index]
    return {p["name"] for p in mine if len(p.get("shape", [])) >= 2}


def _left(case: Case, names: set[str]) -> float | None:
    """The part of the norm of the weights that is left at the end, as a median over tensors."""
    first, last = case.layers[0].get("param_norm", {}), case.layers[-1].get("param_norm", {})
    parts = [end / start for name in names if (start := first.get(name)) and (end := last.get(name)) is not None]
    return median(parts) if parts else None


def _pull(case: Case, optimizer: Any, group: dict[str, Any], names: set[str]) -> float | None:
    """How many times the decay's part of a step is that of the data, as a median over tensors and steps."""
    decay = float(group["weight_decay"])
    if optimizer.get("cls") == "AdamW" or group.get("decoupled_weight_decay"):
        moves = [(rate * decay, ratio) for r in case.metrics if (rate := r.get("lr")) and (ratio := r.get("update_ratio"))]
        return median(own / max(moved - own, 1e-12) for own, moved in moves) if moves else None
    pulls = [
        decay * size / gradient
        for row in case.layers[1:]
        for name, gradient in row.get("grad_norm", {}).items()
        if name in names and gradient and (size := row.get("param_norm", {}).get(name))
    ]
    return median(pulls) if pulls else None


def _fall(case: Case) -> float | None:
    curve = loss_series(case)
    losses = [v for v in curve.values if v is not None] if curve else []
    if len(losses) < 20:
        return None
    head, tail = median(losses[: max(3, len(losses) // 20)]), median(losses[-max(3, len(losses) // 10) :])
    return (head - tail) / abs(head) if head else None


def _finding(group: dict[str, Any], left: float, pull: float, fall: float) -> Finding:
    return Finding(
        title=f"weight decay {group['weight_decay']:g} outweighs the data {number(pull)} times: the weights shrink to {left:.0%} "
        f"of their norm, and the loss falls by {max(fall, 0.0):.0%}",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("the decay's part of a step, in units of the data's (median)", round(pull, 2), "below 1", "layers.jsonl"),
            Evidence("norm of the weights at the end, of what it was", round(left, 3), "about 1 or more", "layers.jsonl"),
            Evidence("weight decay", group["weight_decay"], "1e-4 (SGD) to 0.1 (AdamW)"),
        ),
        onset_step=0,
        fix=Fix(f"Lower the weight decay, to about {group['weight_decay'] / max(10.0, 20 * pull):.0g}."),
    )
