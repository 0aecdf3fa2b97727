"""Adam's own constants do not fit: betas in the wrong order, an epsilon larger than the gradients or than float16 can hold."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.places import setting_place
from cognate.rules.training import commonest_site, number, parameters

_ADAMS = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax")
_LEAST_HALF = 6e-8  # the smallest number above 0 that float16 can hold


def _parts(eps: float, betas: list[float]) -> dict:
    rows = [{"name": "w", "dtype": "float32", "requires_grad": True, "optimizer": "optimizer#0", "numel": 10_000}]
    group = {"lr": 1e-3, "eps": eps, "betas": betas}
    optimizer = {"label": "optimizer#0", "cls": "Adam", "steps": 90, "groups": [group]}
    layers = [{"step": s, "grad_norm": {"w": 0.1}, "param_norm": {"w": 10.0}} for s in (2, 4, 8)]
    metrics = [{"step": s, "loss": 2.3} for s in range(90)]
    return {"model": {"roots": [{"parameters": rows}], "optimizers": [optimizer]}, "layers": layers, "metrics": metrics}


@rule(
    code="OPT125",
    name="opt-adam-hparams",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"model"},
    explains={"opt-lr-too-low", "loss-not-decreasing", "loss-nonfinite", "loss-plateau", "opt-weights-not-moving"},
    sources={
        "damped": "our calibration: epsilon ten times the usual gradient takes nine tenths of the step; 1e-15 to 1e-5 are "
        "all in use and harmless above gradients",
        "gain": "our calibration, as for opt-lr-too-low: less than a tenth is no descent",
    },
    fires=Example(**_parts(1e-1, [0.9, 0.999])),
    quiet=Example(**_parts(1e-8, [0.9, 0.999])),
)
def opt_adam_hparams(case: Case, *, damped: float = 10.0, gain: float = 0.1) -> Iterator[Said]:
    """A constant of Adam does not fit: epsilon exceeds the gradients, float16 cannot hold it, or the betas are swapped.

    Epsilon is added to the root of the second moment. Far above the gradients it turns Adam into plain gradient descent at
    lr/epsilon, and the steps vanish; below what float16 can hold it is zero, and a zero gradient divides by it. A first beta
    above the second lets the momentum outlive the scale that it is divided by (Kingma and Ba 2015 ask for beta1 < sqrt(beta2)).
    """
    adams = [o for o in case.model.get("optimizers", []) if o.get("cls") in _ADAMS and o.get("steps")]
    if not adams:
        yield Clear("no Adam takes steps")
        return
    fired = False
    for optimizer in adams:
        for index, group in enumerate(optimizer.get("groups", [])):
            said = _betas(group) or _half(case, optimizer["label"], index, group) or _epsilon(case, group, damped, gain)
            if said:
                fired = True
                argument, title, evidence, severity = said
                site = commonest_site([optimizer])
                yield Finding(
                    title=title,
                    proof=Proof.MEASUREMENT,
                    severity=severity,
                    evidence=evidence,
                    location=Location.of(
                        setting_place(case, site, argument, group.get(argument), ("adam_epsilon",) if argument == "eps" else ())
                        or site
                    ),
                    onset_step=0,
                    fix=Fix("Use betas=(0.9, 0.999) and eps=1e-8 on float32 weights, unless a published recipe says otherwise."),
                )
                break
    if not fired:
        yield Clear(f"betas and epsilon of {len(adams)} optimizer(s) fit")


Found = tuple[str, str, tuple[Evidence, ...], Severity]


def _betas(group: dict[str, Any]) -> Found | None:
    first, second = group.get("betas") or (0.0, 1.0)
    if first <= second:
        return None
    title = f"Adam's betas look swapped: the momentum's {first:g} is above the second moment's {second:g}"
    return "betas", title, (Evidence("betas", [first, second], "the second above the first"),), Severity.WARNING


def _half(case: Case, label: str, index: int, group: dict[str, Any]) -> Found | None:
    mine = [p for p in parameters(case) if p.get("optimizer") == label and (p.get("group") or 0) == index]
    half = [p for p in mine if p.get("dtype") == "float16" and p.get("requires_grad")]
    if not half or group.get("eps", 1.0) >= _LEAST_HALF:
        return None
    title = f"Adam's epsilon {group['eps']:g} is zero in float16, and {len(half)} of its tensors are float16: it divides by zero"
    return "eps", title, (Evidence("epsilon", group["eps"], f"≥ {_LEAST_HALF} in float16"),), Severity.ERROR


def _epsilon(case: Case, group: dict[str, Any], damped: float, gain: float) -> Found | None:
    """Only where it does harm: the loss does not fall."""
    sizes = {p["name"]: p.get("numel", 0) for p in parameters(case)}
    usual = [
        norm / sizes[name] ** 0.5
        for row in case.layers
        for name, norm in row.get("grad_norm", {}).items()
        if norm and sizes.get(name)
    ]
    curve = loss_series(case)
    losses = [v for v in curve.values if v is not None] if curve else []
    if not usual or len(losses) < 20 or group.get("eps", 0.0) < damped * median(usual):
        return None
    head, tail = median(losses[: max(3, len(losses) // 20)]), median(losses[-max(3, len(losses) // 10) :])
    if head - tail > gain * abs(head):
        return None
    title = f"Adam's epsilon {group['eps']:g} is far above the usual gradient {number(median(usual))}: it, and not the gradient, "
    title += f"sets the size of the steps, which shrink to {median(usual) / group['eps']:.1%}"
    evidence = (
        Evidence("epsilon", group["eps"], f"below {number(median(usual))}", "model.json"),
        Evidence("usual size of an element of the gradient", median(usual), "", "layers.jsonl"),
        Evidence("loss, first and last", f"{number(head)} → {number(tail)}", "falling"),
    )
    return "eps", title, evidence, Severity.ERROR
