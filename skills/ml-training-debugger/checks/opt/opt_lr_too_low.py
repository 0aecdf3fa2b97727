"""The learning rate is too low: the weights hardly move and the loss with them."""

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.source import argument_origin
from cognate.rules.training import commonest_site, number, travelled


def _parts(ratio: float, losses: list) -> dict:
    metrics = [{"step": i, "loss": v, "lr": 1e-7, "update_ratio": ratio, "grad_norm": 1.0} for i, v in enumerate(losses)]
    overfit = {"probe": "overfit_batch", "status": "ok", "step": 40, "result": {"first": 2.3, "last": 0.1, "steps": 60}}
    return {"metrics": metrics, "probes": [overfit]}


@rule(
    code="OPT104",
    name="opt-lr-too-low",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.update_ratio", "metrics.lr"},
    explains={"loss-not-decreasing", "data-input-label-misaligned"},
    core=True,
    sources={
        "distance": "CS231n: about 1e-3 of the weights a step; a run that moved them by under a twentieth in all has not "
        "trained them",
        "gain": "TheDeepChecker: less than 5 % is no descent; doubled, as slow runs do creep",
        "learned": "Karpathy's recipe: the same batch is learned by heart at an ordinary rate, so the rate is what is missing",
    },
    fires=Example(**_parts(1e-7, [2.3 - 1e-5 * i for i in range(60)])),
    quiet=Example(**_parts(1e-2, [2.3 / (1 + 0.1 * i) for i in range(60)])),
)
def opt_lr_too_low(case: Case, *, distance: float = 0.05, gain: float = 0.1, learned: float = 0.7) -> Iterator[Said]:
    """The learning rate is too low: updates are a vanishing part of the weights, and the loss hardly moves.

    The gradient is there, the step is not: over the whole run the weights travel a few percent of their size. A copy trained
    on one batch at an ordinary rate learns it at once. Usual places: a rate in the wrong unit, a warm-up that never ends, a
    schedule that was stepped so often that the rate is gone.
    """
    rows = [r for r in case.metrics if r.get("update_ratio") is not None]
    ratios = [moved for r in rows if (moved := r.get("update_ratio")) is not None]
    losses = loss_series(case)
    finite = [v for v in losses.values if v is not None] if losses else []
    if len(ratios) < 5 or len(finite) < 20:
        yield Skip("too few updates were measured", "run at least twenty optimizer steps")
        return
    way = travelled(case)
    typical = median(ratios)
    head, tail = median(finite[: max(3, len(finite) // 20)]), median(finite[-max(3, len(finite) // 10) :])
    flowing = any((r.get("grad_norm") or 0.0) > 0 for r in rows)
    results = [p["result"] for p in case.probe("overfit_batch")]
    able = [r for r in results if r["last"] is not None and r["first"] is not None and r["last"] < learned * r["first"]]
    if way >= distance or head - tail > gain * abs(head) or not flowing or typical == 0.0 or not (able or typical < 1e-5):
        yield Clear(f"median update/weight ratio {number(typical)}; the weights travelled {way:.0%} of their size")
        return
    rate = max(lr for r in rows if (lr := r.get("lr")) is not None)
    site = commonest_site(o for o in case.model.get("optimizers", []) if o.get("site"))
    shown = (
        (
            Evidence(
                "one batch at 3e-3 on a copy, 60 steps", f"{number(able[0]['first'])} → {number(able[0]['last'])}", "", "probe"
            ),
        )
        if able
        else ()
    )
    yield Finding(
        title=f"the learning rate {number(rate)} is too low: each step moves the weights by {number(typical)} of their size, "
        f"and the loss stays at {number(tail)}",
        proof=Proof.EXPERIMENT if able else Proof.INFERENCE,
        evidence=(
            Evidence("median |Δw|/|w| per step", typical, "about 1e-3", "metrics.jsonl"),
            Evidence("way of the weights over the whole run, in their own size", round(way, 4), f"≥ {distance}"),
            Evidence("loss, first and last", f"{number(head)} → {number(tail)}", "falling"),
            *shown,
        ),
        location=Location.of(argument_origin(case, site, "lr") or site),
        onset_step=0,
        fix=Fix(
            f"Raise the learning rate by a factor of about {min(1e4, 1e-3 / typical):.0g}, or find what keeps it low "
            f"(warm-up, schedule)."
        ),
    )
