"""The weights grow without end."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, number


def _layers(rate: float) -> list[dict]:
    return [{"step": step, "param_norm": {"a.weight": 4.0 * rate**step, "b.weight": 2.0}} for step in (0, 2, 4, 8, 16, 32)]


@rule(
    code="OPT124",
    name="opt-weights-diverge",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"layers"},
    explains={"loss-diverging", "loss-nonfinite", "model-saturated-activation"},
    sources={
        "growth": "our calibration: nets that start small or separate their classes grow severalfold, and then slowly",
        "late": "TheDeepChecker: a rate of 2 between checks; here over the last half, where healthy weights have settled",
    },
    fires=Example(layers=_layers(1.2)),
    quiet=Example(layers=_layers(1.01)),
)
def opt_weights_diverge(case: Case, *, growth: float = 10.0, late: float = 2.0) -> Iterator[Said]:
    """The norm of the weights runs away: it grew tenfold and was still doubling in the last half of the run.

    Nothing pulls back: no weight decay under a loss that rewards scale, a maximised quantity without bound, a rate that is too
    high. Weights before a normalisation may grow slowly and healthily, so that growth alone is none.
    """
    rows = [(int(r["step"]), _total(r.get("param_norm", {}))) for r in case.layers]
    sizes = [(step, size) for step, size in rows if size is not None]
    if len(sizes) < 4 or sizes[0][1] <= 0:
        yield Skip("the norm of the weights is known for fewer than 4 steps", "run more steps")
        return
    first, (end, last) = sizes[0][1], sizes[-1]
    middle = max((size for step, size in sizes if step <= end / 2), default=first)
    if last < growth * first or last < late * middle:
        yield Clear(f"the norm of the weights goes from {number(first)} to {number(last)}")
        return
    worst = max(case.layers[-1]["param_norm"], key=lambda name: _times(case, name))
    site = commonest_site(o for o in case.model.get("optimizers", []) if o.get("site"))
    yield Finding(
        title=f"the weights run away: their norm grows from {number(first)} to {number(last)} in {end} steps, from "
        f"{number(middle)} in the last half alone; {worst} grows most",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("norm of all weights: first, at half, last", [first, middle, last], "settles", "layers.jsonl"),
            Evidence(f"growth of {worst}", f"×{number(_times(case, worst))}"),
        ),
        location=Location.of(site, worst.rpartition(".")[0] or None),
        onset_step=next((step for step, size in sizes if size > growth * first), end),
        fix=Fix("Lower the learning rate or add weight decay; see that what is minimised has a minimum."),
    )


def _total(norms: dict[str, float | None]) -> float | None:
    """The norm of all weights together; None where there is none or one is not finite."""
    values = list(norms.values())
    if not values or any(v is None for v in values):
        return None
    return float(sum(v * v for v in values if v is not None) ** 0.5)


def _times(case: Case, name: str) -> float:
    values = [v for r in case.layers if (v := r.get("param_norm", {}).get(name)) is not None]
    return values[-1] / values[0] if values and values[0] > 0 else 0.0
