"""The learning rate is too low: the weights hardly move and the loss with them."""

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import (
    Case,
    Clear,
    Evidence,
    Example,
    Finding,
    Fix,
    Kind,
    Location,
    Proof,
    Said,
    Severity,
    Skip,
    rule,
)
from cognate.rules.training import commonest_site, number


def _metrics(ratio: float, losses: list) -> list[dict]:
    return [{"step": i, "loss": v, "lr": 1e-7, "update_ratio": ratio, "grad_norm": 1.0} for i, v in enumerate(losses)]


@rule(
    code="OPT104",
    name="opt-lr-too-low",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.update_ratio", "metrics.lr"},
    explains={"loss-not-decreasing", "data-input-label-misaligned"},
    core=True,
    sources={
        "ratio": "CS231n and TheDeepChecker: a healthy update is 1e-4 to 1e-2 of the weights; we alarm one decade below 1e-4",
        "gain": "TheDeepChecker: less than 5 % is no descent",
    },
    fires=Example(metrics=_metrics(1e-7, [2.3 - 1e-5 * i for i in range(60)])),
    quiet=Example(metrics=_metrics(1e-3, [2.3 / (1 + 0.1 * i) for i in range(60)])),
)
def opt_lr_too_low(case: Case, *, ratio: float = 1e-5, gain: float = 0.05) -> Iterator[Said]:
    """The learning rate is too low: updates are a vanishing part of the weights, and the loss hardly moves.

    The gradient is there, the step is not. Usual places: a rate in the wrong unit, a warm-up that never ends, a schedule that
    was stepped so often that the rate is gone.
    """
    rows = [r for r in case.metrics if r.get("update_ratio") is not None]
    losses = loss_series(case)
    finite = [v for v in losses.values if v is not None] if losses else []
    if len(rows) < 5 or len(finite) < 20:
        yield Skip("too few updates were measured", "run at least twenty optimizer steps")
        return
    typical = median(float(r["update_ratio"]) for r in rows)
    head, tail = median(finite[: max(3, len(finite) // 20)]), median(finite[-max(3, len(finite) // 10) :])
    flowing = any((r.get("grad_norm") or 0.0) > 0 for r in rows)
    if typical >= ratio or head - tail > gain * abs(head) or not flowing or typical == 0.0:
        yield Clear(f"median update/weight ratio {number(typical)}")
        return
    rate = median(float(r["lr"]) for r in rows if r.get("lr") is not None)
    site = commonest_site(o for o in case.model.get("optimizers", []) if o.get("site"))
    yield Finding(
        title=f"the learning rate {number(rate)} is too low: each step moves the weights by {number(typical)} of their size, "
        f"and the loss stays at {number(tail)}",
        proof=Proof.INFERENCE,
        evidence=(
            Evidence("median |Δw|/|w| per step", typical, "about 1e-3", "metrics.jsonl"),
            Evidence("loss, first and last", f"{number(head)} → {number(tail)}", "falling"),
        ),
        location=Location.of(site),
        onset_step=0,
        fix=Fix(
            f"Raise the learning rate by a factor of {min(1e4, 1e-3 / typical):.0g}, or find what keeps it low (warm-up, schedule)."
        ),
    )
