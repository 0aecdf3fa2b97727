"""Gradients shrink by orders of magnitude from the output to the input."""

import re
from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.places import spelled
from cognate.rules.source import first_call
from cognate.rules.training import number


def _layers(factor: float) -> list[dict]:
    names = [f"net.{2 * i}.weight" for i in range(8)]
    row = {"grad_norm": {n: factor ** (7 - i) for i, n in enumerate(names)}, "param_norm": dict.fromkeys(names, 4.0)}
    return [{"step": step} | row for step in (1, 2, 4, 8)]


def _order(name: str) -> list:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


@rule(
    code="GRAD105",
    name="grad-vanishing",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"layers"},
    explains={"loss-not-decreasing", "opt-lr-too-low", "model-saturated-activation", "data-input-label-misaligned"},
    core=True,
    sources={
        "ratio": "AutoTrainer: first/last layer gradient below 1e-3; here relative to the weights, which scales do not move",
        "depth": "our calibration: with fewer weight layers a small ratio has other reasons",
    },
    fires=Example(layers=_layers(0.2)),
    quiet=Example(layers=_layers(0.9)),
)
def grad_vanishing(case: Case, *, ratio: float = 1e-3, depth: int = 5) -> Iterator[Said]:
    """Gradients vanish on the way back: the first layers get a thousandth of what the last ones get.

    Each saturating activation (sigmoid, tanh) multiplies the gradient by at most a quarter, so a deep stack without residual
    paths or normalisation leaves nothing for the first layers. They stay at their initial values and the loss stays flat.
    """
    rows = [row for row in case.layers if row.get("grad_norm")]
    if not rows:
        yield Skip("no gradient norms by layer were recorded", "run more steps")
        return
    ratios, first, last, count = [], "", "", 0
    for row in rows:
        sizes = row["param_norm"]
        relative_to = {n: g / s for n, g in row["grad_norm"].items() if g is not None and (s := sizes.get(n))}
        names = [n for n in relative_to if n.endswith("weight")]
        # A chain of equal names with a running number is a stack of layers; embeddings and heads are left out.
        stack = _stack(names)
        if len(stack) < depth:
            continue
        relative = [relative_to[n] for n in stack]
        if relative[-1] > 0:
            ratios.append(min(relative[:2]) / max(relative[-2:]))
            first, last, count = stack[0], stack[-1], len(stack)
    if len(ratios) < 2:
        yield Skip(f"the model has no stack of {depth} or more weight layers", "")
        return
    worst = median(ratios)
    if worst >= ratio:
        yield Clear(f"first/last layer gradient ratio {number(worst)} over {count} layers")
        return
    squashing = sorted({str(a.get("cls")) for row in rows for a in row.get("activation", {}).values()} & {"Sigmoid", "Tanh"})
    through = f" through {' and '.join(squashing)} activations" if squashing else ""
    yield Finding(
        title=f"gradients vanish{through}: {first} gets {number(worst)} of the relative gradient of {last} ({count} layers deep)",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("median ratio of relative gradient, first to last layer", worst, f"≥ {ratio}", "layers.jsonl"),),
        location=Location.of(_place(case, squashing), first.rpartition(".")[0]),
        onset_step=int(rows[0]["step"]),
        fix=Fix("Use ReLU or GELU, residual connections or normalisation, and an initialisation that fits the activation."),
    )


def _place(case: Case, squashing: list[str]) -> dict | None:
    """Where the activation is made, or where a configuration names it."""
    named = [place for cls in squashing if (place := spelled(case, cls))]
    return first_call(case, *_spellings(squashing)) or (named[0] if len(named) == 1 else None)


def _spellings(classes: list[str]) -> list[str]:
    return [word for cls in classes for word in (cls, cls.lower())]


def _stack(names: list[str]) -> list[str]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(re.sub(r"\d+", "#", name), []).append(name)
    longest = max(groups.values(), key=len, default=[])
    return sorted(longest, key=_order)
