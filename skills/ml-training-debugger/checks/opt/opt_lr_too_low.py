"""The learning rate is too low: the weights hardly move and the loss with them."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.places import rate_place
from cognate.rules.rates import Range, arms, ranges
from cognate.rules.training import Row, commonest_site, number, travelled


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
    explains={"loss-not-decreasing", "data-input-label-misaligned", "loss-plateau", "opt-weights-not-moving"},
    core=True,
    sources={
        "distance": "CS231n: about 1e-3 of the weights a step; a run that moved them by under a twentieth in all has not "
        "trained them",
        "gain": "TheDeepChecker: less than 5 % is no descent; doubled, as slow runs do creep",
        "learned": "Karpathy's recipe: the same batch is learned by heart at an ordinary rate, so the rate is what is missing",
        "tiny": "a hundredth of the CS231n ratio: nothing that is to be trained moves so little",
    },
    fires=Example(**_parts(1e-7, [2.3 - 1e-5 * i for i in range(60)])),
    quiet=Example(**_parts(1e-2, [2.3 / (1 + 0.1 * i) for i in range(60)])),
)
def opt_lr_too_low(
    case: Case, *, distance: float = 0.05, gain: float = 0.1, learned: float = 0.7, tiny: float = 1e-5
) -> Iterator[Said]:
    """The learning rate is too low: updates are a vanishing part of the weights, and the loss hardly moves.

    The gradient is there, the step is not: over the whole run the weights travel a few percent of their size. A copy trained
    on one batch at an ordinary rate, or by the run's own optimizer at a multiple of its rate, learns it at once. Usual places: a
    rate in the wrong unit, a warm-up that never ends, a schedule that was stepped so often that the rate is gone. Each optimizer
    of the run is judged by its own steps.
    """
    labels = sorted({str(r.get("optimizer", "")) for r in case.metrics})
    several = len(labels) > 1
    checked = []
    for label in labels:
        rows: list[Row] = [dict(r) for r in case.metrics if str(r.get("optimizer", "")) == label]
        ratios = [moved for r in rows if (moved := r.get("update_ratio")) is not None]
        levels = _levels(case, rows, several)
        if len(ratios) < 5 or levels is None:
            continue
        way, typical = travelled(case, label if several else None), median(ratios)
        head, tail = levels
        checked.append(f"median update/weight ratio {number(typical)}; the weights travelled {way:.0%} of their size")
        if way >= distance or head - tail > gain * abs(head) or typical == 0.0 or not any(r.get("grad_norm") for r in rows):
            continue
        shown = _experiments(case, rows, label == labels[0], learned)
        asked = any(r.rate in {row.get("lr") for row in rows} for r in ranges(case))
        if shown or (typical < tiny and not asked):
            yield _finding(case, rows, label, typical, way, levels, shown)
            return
    yield Clear("; ".join(checked)) if checked else Skip("too few updates were measured", "run at least twenty optimizer steps")


def _levels(case: Case, rows: list[Row], several: bool) -> tuple[float, float] | None:
    """The first and the last level of the loss."""
    own = [r["loss"] for r in rows if r.get("loss") is not None]
    curve = None if several or own else loss_series(case)
    finite = own or [v for v in (curve.values if curve else ()) if v is not None]
    if len(finite) < 20:
        return None
    return median(finite[: max(3, len(finite) // 20)]), median(finite[-max(3, len(finite) // 10) :])


def _experiments(case: Case, rows: list[Row], first: bool, learned: float) -> tuple[Evidence, ...]:
    """What shows that the same model learns at another rate: a batch by heart, or the run's own optimizer at a multiple."""
    results = [p["result"] for p in case.probe("overfit_batch")] if first else []
    able = [r for r in results if r["last"] is not None and r["first"] is not None and r["last"] < learned * r["first"]]
    rates = {r.get("lr") for r in rows}
    tried = [r for r in ranges(case) if r.rate in rates and _faster(r)]
    by_heart = "one batch at 3e-3 on a copy, 60 steps"
    return (
        *(Evidence(by_heart, f"{number(r['first'])} → {number(r['last'])}", "", "probe") for r in able[:1]),
        *(Evidence("the same optimizer on one batch, by multiple of the rate", arms(r), "", "probe") for r in tried[-1:]),
    )


def _faster(found: Range) -> bool:
    """Whether the batch stays as it was at the rate itself and is learned at ten times the rate or more."""
    return found.fall(1) < 0.01 and found.best > 1 and found.fall(found.best) > max(0.05, 5 * found.fall(1))


def _finding(
    case: Case, rows: list[Row], label: str, typical: float, way: float, levels: tuple[float, float], shown: tuple[Evidence, ...]
) -> Finding:
    head, tail = levels
    rate = max(lr for r in rows if (lr := r.get("lr")) is not None)
    optimizers = [o for o in case.model.get("optimizers", []) if o.get("site")]
    site = commonest_site([o for o in optimizers if o.get("label") == label] or optimizers)
    return Finding(
        title=f"the learning rate {number(rate)} is too low: each step moves the weights by {number(typical)} of their size, "
        f"and the loss stays at {number(tail)}",
        proof=Proof.EXPERIMENT if shown else Proof.INFERENCE,
        evidence=(
            Evidence("median |Δw|/|w| per step", typical, "about 1e-3", "metrics.jsonl"),
            Evidence("way of the weights over the whole run, in their own size", round(way, 4), "≥ 0.05"),
            Evidence("loss, first and last", f"{number(head)} → {number(tail)}", "falling"),
            *shown,
        ),
        location=Location.of(rate_place(case, site) or site),
        onset_step=int(rows[0].get("step", 0)),
        fix=Fix(
            f"Raise the learning rate by a factor of about {min(1e4, 1e-3 / typical):.0g}, or find what keeps it low "
            f"(warm-up, schedule)."
        ),
    )
