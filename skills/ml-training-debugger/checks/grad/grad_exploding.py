"""The gradient norm grows by orders of magnitude."""

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import logged, metric_curves
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.training import commonest_site, modules, number


@rule(
    code="GRAD106",
    name="grad-exploding",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"metrics.grad_norm"},
    explains={"loss-nonfinite", "loss-diverging", "loss-not-decreasing", "opt-lr-too-high", "opt-weights-diverge"},
    core=True,
    sources={
        "reuse": "our calibration: a weight that is applied ten times in a row multiplies the gradient ten times over",
        "steep": "a homogeneous net of d layers has |g|·|w| of about d times its loss (Euler); a hundred times is explosion",
        "burst": "our calibration, as for opt-lr-too-high: one such step replaces a third of the weights",
        "growth": "TheDeepChecker and AutoTrainer use 70 to 1e6; 1e3 of the run's own early median is our calibration",
    },
    fires=Example(metrics=[{"step": s, "loss": 1.0, "grad_norm": 1.0 if s < 20 else 10.0 ** (s - 18)} for s in range(30)]),
    quiet=Example(metrics=[{"step": s, "loss": 1.0, "grad_norm": 1.0 + 0.1 * (s % 7)} for s in range(30)]),
)
def grad_exploding(
    case: Case, *, growth: float = 1e3, reuse: int = 10, steep: float = 100.0, burst: float = 0.3
) -> Iterator[Said]:
    """Gradients explode: their norm grows a thousandfold over its early level and nothing limits it.

    Products of many Jacobians (recurrent nets, deep stacks without normalisation) grow exponentially; one such step throws the
    weights far away. Clipping by global norm is the usual limit. A recurrent net may do so at its very first steps, at weights
    that have hardly moved: then the gradient is compared with what its loss and its weights let expect.
    """
    thrown = _thrown(case, reuse, steep, burst)
    if thrown:
        yield thrown
        return
    curves = metric_curves(case, "grad_norm", "gradient norm")
    norms = [(step, norm) for curve in curves for step, norm in zip(curve.steps, curve.values, strict=True)]
    flags = any(norm is None for _, norm in norms)
    values = [(step, norm) for step, norm in norms if norm is not None]
    if len(values) < 8:
        yield Skip("fewer than 8 gradient norms were recorded", "run more steps")
        return
    base = median(v for _, v in values[: max(5, len(values) // 5)])
    peak_step, peak = max(values, key=lambda item: item[1])
    onset = next((s for s, v in values if v > growth * base), None)
    if base <= 0 or onset is None:
        yield Clear(f"grad norm {number(min(v for _, v in values))}–{number(peak)} over {len(values)} steps")
        return
    clipped = case.metrics.has("clip")
    level = [v for s, v in values if s >= onset]
    lasting = len(level) >= 3 and median(level) > growth / 10 * base
    yield Finding(
        title=f"gradients explode: their norm rises from {number(base)} to {number(peak)} at step {peak_step}"
        + ("" if clipped or logged(case) else " and nothing clips it"),
        proof=Proof.MEASUREMENT,
        severity=_severity(case, lasting or flags, clipped),
        evidence=(
            Evidence("early median of the gradient norm", base, "", "metrics.jsonl"),
            Evidence("largest gradient norm", peak, f"≤ {growth:g}× the early median", f"step {peak_step}"),
        ),
        onset_step=onset,
        fix=Fix(
            "Clip: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) between backward and step; then look at rate and init."
        ),
    )


def _severity(case: Case, bad: bool, clipped: bool) -> Severity | None:
    """By what it did; in somebody's log, which does not tell of clipping, never an error by itself."""
    if clipped:
        return Severity.INFO
    return Severity.ERROR if bad and not logged(case) else None


def _recurrent(case: Case, reuse: int) -> bool:
    """Whether a weight is applied many times in a row: a recurrent layer, or a parameter that the trace shows at each time."""
    classes = {str(m.get("cls")) for m in modules(case).values()}
    if classes & {"RNN", "LSTM", "GRU"}:
        return True
    return any(len(flow.using(p)) >= reuse for flow in flows(case)[:1] for p in sorted(flow.parameters) if "bias" not in p)


def _thrown(case: Case, reuse: int, steep: float, burst: float) -> Finding | None:
    """A first burst of the weights that a gradient far beyond the expected one made, at weights that had hardly moved."""
    rows = [r for r in case.metrics[:12] if r.get("update_ratio") is not None]
    at = next((i for i, r in enumerate(rows) if (r.get("update_ratio") or 0.0) > burst), None)
    if at is None or case.metrics.has("clip") or not _recurrent(case, reuse):
        return None
    row = rows[at]
    norm, first, loss = row.get("grad_norm"), rows[0].get("grad_norm"), rows[0].get("loss")
    sizes = [value for r in case.layers[:1] for value in r.get("param_norm", {}).values() if value is not None]
    weight = sum(value**2 for value in sizes) ** 0.5
    if not norm or not first or not loss:
        return None
    moved = sum(r.get("update_ratio") or 0.0 for r in rows[:at])
    leapt = at > 0 and norm > 5 * first and moved < burst / 2
    expected = abs(loss) / weight if weight else 0.0
    if not leapt and not (at == 0 and expected and norm > steep * expected):
        return None
    base = first if leapt else expected
    site = commonest_site(case.events("call", name="backward"))
    return Finding(
        title=f"gradients explode through the steps of a recurrent part: a norm of {number(norm)} at step {row['step']}, where "
        f"{number(base)} was {'the first' if leapt else 'to be expected of this loss and these weights'}, and nothing clips it",
        proof=Proof.MEASUREMENT,
        severity=Severity.ERROR,
        evidence=(
            Evidence("gradient norm", norm, f"about {number(base)}", f"step {row['step']}"),
            Evidence("|Δw|/|w| of the step it made", row.get("update_ratio"), "about 1e-3"),
            Evidence("way of the weights before", round(moved, 3), "", "metrics.jsonl"),
        ),
        location=Location.of(site),
        onset_step=0,  # the limit is missing from the first step on
        fix=Fix("Clip: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0) between backward and step."),
    )
