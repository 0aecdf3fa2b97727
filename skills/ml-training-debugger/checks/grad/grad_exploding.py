"""The gradient norm grows by orders of magnitude."""

from collections.abc import Iterator
from statistics import median

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Said, Severity, Skip, rule
from cognate.rules.training import number


@rule(
    code="GRAD106",
    name="grad-exploding",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"metrics.grad_norm"},
    explains={"loss-nonfinite", "loss-diverging", "loss-not-decreasing"},
    core=True,
    sources={
        "growth": "TheDeepChecker and AutoTrainer use 70 to 1e6; 1e3 of the run's own early median is our calibration",
    },
    fires=Example(metrics=[{"step": s, "loss": 1.0, "grad_norm": 1.0 if s < 20 else 10.0 ** (s - 18)} for s in range(30)]),
    quiet=Example(metrics=[{"step": s, "loss": 1.0, "grad_norm": 1.0 + 0.1 * (s % 7)} for s in range(30)]),
)
def grad_exploding(case: Case, *, growth: float = 1e3) -> Iterator[Said]:
    """Gradients explode: their norm grows a thousandfold over its early level and nothing limits it.

    Products of many Jacobians (recurrent nets, deep stacks without normalisation) grow exponentially; one such step throws the
    weights far away. Clipping by global norm is the usual limit.
    """
    rows = [r for r in case.metrics if "grad_norm" in r]
    flags = [r for r in rows if "grad_norm" in r.get("nonfinite", {})]
    values = [(int(r["step"]), norm) for r in rows if (norm := r.get("grad_norm")) is not None]
    if len(values) < 8:
        yield Skip("fewer than 8 gradient norms were recorded", "run more steps")
        return
    base = median(v for _, v in values[: max(5, len(values) // 5)])
    peak_step, peak = max(values, key=lambda item: item[1])
    onset = next((s for s, v in values if v > growth * base), None)
    if base <= 0 or onset is None:
        yield Clear(f"grad norm {number(min(v for _, v in values))}–{number(peak)} over {len(values)} steps")
        return
    clipped = any("clip" in r for r in case.metrics)
    level = [v for s, v in values if s >= onset]
    lasting = len(level) >= 3 and median(level) > growth / 10 * base
    yield Finding(
        title=f"gradients explode: their norm rises from {number(base)} to {number(peak)} at step {peak_step}"
        + ("" if clipped else " and nothing clips it"),
        proof=Proof.MEASUREMENT,
        severity=Severity.ERROR if (lasting or flags) and not clipped else Severity.INFO if clipped else None,
        evidence=(
            Evidence("early median of the gradient norm", base, "", "metrics.jsonl"),
            Evidence("largest gradient norm", peak, f"≤ {growth:g}× the early median", f"step {peak_step}"),
        ),
        onset_step=onset,
        fix=Fix(
            "Clip: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) between backward and step; then look at rate and init."
        ),
    )
