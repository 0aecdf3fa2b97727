"""The clip decides the length of every step."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.places import setting_place
from cognate.rules.rates import Range, arms, ranges
from cognate.rules.training import commonest_site, number, share, travelled


def _parts(norm: float, ratio: float) -> dict:
    rows = [
        {"step": i, "loss": 2.0 - ratio * i, "grad_norm": norm, "clip": 1e-3, "lr": 0.01, "update_ratio": ratio}
        for i in range(90)
    ]
    arm = {
        "0.1": [2.0] * 13,
        "1": [2.0] * 13,
        "10": [2.0 - 0.01 * i for i in range(13)],
        "100": [2.0 - 0.1 * i for i in range(13)],
    }
    result = {"losses": arm, "lr": 0.01, "optimizer": "SGD", "steps": 12}
    return {"metrics": rows, "probes": [{"probe": "lr_range", "status": "ok", "step": 2, "result": result}]}


LIMITS = ("max_grad_norm", "gradient_clip_val", "grad_clip", "clip")  # as libraries' configurations call the limit


@rule(
    code="GRAD120",
    name="grad-clip-dominant",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.clip", "metrics.grad_norm"},
    explains={"opt-lr-too-low", "loss-not-decreasing", "opt-weights-not-moving", "loss-plateau", "data-input-label-misaligned"},
    sources={
        "clipped": "the Google tuning playbook calls clipping more than half of the steps extremely aggressive; nine tenths is "
        "our bound, as recurrent nets live well above a half",
        "times": "our calibration: a clip at a fiftieth of the usual norm is no limit on outliers, it is another learning rate",
        "distance": "CS231n: about 1e-3 of the weights a step; a run that moved them by under a twentieth in all has not "
        "trained them",
        "gain": "our calibration, as for opt-lr-too-low: slow runs creep, and less than a tenth is no descent",
    },
    fires=Example(**_parts(2.0, 1e-5)),
    quiet=Example(**_parts(5e-4, 1e-5)),
)
def grad_clip_dominant(
    case: Case, *, clipped: float = 0.9, times: float = 50.0, distance: float = 0.05, gain: float = 0.1
) -> Iterator[Said]:
    """Nearly every gradient is clipped to a tiny length, so that the clip and not the gradient sets the size of the steps.

    Clipping by norm is meant for outliers. A limit far below the usual norm makes each step as long as the limit times the
    learning rate, and the weights hardly move. An optimizer that divides the gradient by its own size (Adam) makes up for it;
    so it is judged by how far the weights come and whether the loss falls, and by the same steps at a larger rate on a copy.
    """
    rows = _clipped(case)
    if len(rows) < 20:
        yield Skip("gradients are not clipped by their norm, or in too few steps", "")
        return
    ratios = [norm / limit for norm, limit in rows if limit > 0]
    often, typical = share(ratio > 1 for ratio in ratios), median(ratios)
    dominated = often > clipped and typical > times
    way, fall = travelled(case), _fall(case)
    freed = [r for r in ranges(case) if r.fall(1) < 0.05 and r.best > 1 and r.fall(r.best) > 0.05 + 3 * max(0.0, r.fall(1))]
    if not dominated or way >= distance or fall is None or fall > (2.5 * gain if freed else gain):
        yield Clear(f"{often:.0%} of {len(rows)} gradients are clipped, the usual norm is {number(typical)} times the limit")
        return
    yield _finding(case, (median(norm for norm, _ in rows), median(limit for _, limit in rows)), often, typical, way, freed)


def _finding(case: Case, usual: tuple[float, float], often: float, typical: float, way: float, freed: list[Range]) -> Finding:
    norm, limit = usual
    site = commonest_site(case.events("call", name="clip_grad_norm_"))
    what = "the same optimizer and clip on one batch, at multiples of the rate"
    tried = [Evidence(what, arms(found), "", "probe") for found in freed[-1:]]
    return Finding(
        title=f"{often:.0%} of the gradients are clipped, from a usual norm of {number(norm)} to {number(limit)}: the clip sets "
        f"the size of the steps, and the weights moved by {way:.1%} of their size in the whole run",
        proof=Proof.EXPERIMENT if freed else Proof.MEASUREMENT,
        evidence=(
            Evidence("gradients above the limit", f"{often:.0%}", "outliers, at most half", "metrics.jsonl"),
            Evidence("usual norm, in units of the limit", round(typical, 1), "about 1", "metrics.jsonl"),
            Evidence("way of the weights over the whole run, in their own size", round(way, 5), "≥ 0.05"),
            *tried,
        ),
        location=Location.of(setting_place(case, site, "max_norm", limit, LIMITS, 1) or site),
        onset_step=0,
        fix=Fix(f"Raise the limit to about the 90th percentile of the norms, or {number(2 * norm)}, or leave the clipping out."),
    )


def _clipped(case: Case) -> list[tuple[float, float]]:
    """Norm and limit of every step whose gradient was clipped by its norm."""
    return [
        (norm, limit)
        for row in case.metrics
        if (norm := row.get("grad_norm")) is not None and (limit := row.get("clip")) and not row.get("clip_value")
    ]


def _fall(case: Case) -> float | None:
    """The share of the first level that the training loss lost; None where it is not known."""
    curve = loss_series(case)
    finite = [v for v in curve.values if v is not None] if curve else []
    if len(finite) < 20:
        return None
    head, tail = median(finite[: max(3, len(finite) // 20)]), median(finite[-max(3, len(finite) // 10) :])
    return (head - tail) / abs(head) if head else None
