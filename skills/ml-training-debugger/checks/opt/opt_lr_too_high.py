"""The learning rate is too high: updates are large against the weights while the loss gets worse or stays bad."""

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
from cognate.rules.places import rate_place
from cognate.rules.rates import arms, ranges
from cognate.rules.training import commonest_site, number


def _metrics(ratio: float, losses: list) -> list[dict]:
    return [{"step": i, "loss": v, "lr": 1.0, "update_ratio": ratio} for i, v in enumerate(losses)]


@rule(
    code="OPT103",
    name="opt-lr-too-high",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.update_ratio", "metrics.lr"},
    explains={
        "loss-diverging", "loss-nonfinite", "loss-not-decreasing", "grad-exploding", "model-dead-relu",
        "data-input-label-misaligned", "opt-weights-diverge", "opt-warmup-missing-or-long",
        "grad-vanishing",
    },
    core=True,
    sources={
        "ratio": "CS231n: updates of about 1e-3 of the weights are healthy; TheDeepChecker alarms above 1e-1, which we take",
        "burst_ratio": "three times the bound for the whole run: one such step replaces a third of the weights",
        "worse": "TheDeepChecker: diverging at twice the minimum; we ask for no gain over the first loss",
        "calm": "our calibration: the same optimizer on one batch falls by this share at a smaller rate, and not at "
        "its own",
    },
    fires=Example(metrics=_metrics(0.6, [2.0 + 0.5 * (i % 5) + 0.1 * i for i in range(60)])),
    quiet=Example(metrics=_metrics(0.003, [2.0 / (1 + 0.1 * i) for i in range(60)])),
)  # fmt: skip
def opt_lr_too_high(
    case: Case, *, ratio: float = 0.1, worse: float = 0.95, burst_ratio: float = 0.3, calm: float = 0.15
) -> Iterator[Said]:
    """The learning rate is too high: each step moves the weights by a large part of their size, and the loss does not fall.

    Judged by the ratio of update to weight, which is free of the optimizer's scale, together with the loss: large updates alone
    are normal at the start and for small or zero-initialised tensors. Where a copy of the model and its optimizer, on one batch,
    rises at the rate itself and falls at a tenth or a hundredth of it, that is the proof.
    """
    ratios = [(int(r["step"]), moved) for r in case.metrics if (moved := r.get("update_ratio")) is not None]
    losses = loss_series(case)
    blow_up = losses is not None and any(v is None for v in losses.values)
    if losses is None or len(losses.values) < 10 or len(ratios) < (1 if blow_up else 5):
        yield Skip("too few updates were measured", "run at least ten optimizer steps")
        return
    finite = [v for v in losses.values if v is not None]
    typical = median(v for _, v in ratios)
    early = max(v for s, v in ratios[:12])
    head = finite[0] if finite else 0.0  # before any update: a blow-up starts with the second loss
    tail = median(finite[-max(3, len(finite) // 5) :]) if finite else 0.0
    bad = blow_up or tail > worse * head
    # A burst in the first steps can throw the weights where no gradient leads back from; judged with a loss that never recovers.
    burst = early > burst_ratio and not _warm(case)
    large = typical > ratio or (blow_up and early > ratio) or burst
    # One step that overshoots by the loss it started with, at a rate that stays: what is learned later is learned in spite of it.
    thrown = burst and head > 0 and max(finite[1:20], default=0.0) > 2 * head and tail > 0.7 * head
    jumps = sum(v > head for v in finite[5:]) > 0.02 * len(finite) and max(finite[5:], default=0.0) > 2 * head > 0
    tried = [r for r in ranges(case) if r.fall(1) < 0.03 and max(r.fall(0.1), r.fall(0.01)) > calm]
    if not (bad and large) and not thrown and not (tried and (bad or jumps)):
        yield Clear(f"median update/weight ratio {number(typical)}")
        return
    rates = [rate for r in case.metrics if (rate := r.get("lr")) is not None]
    site = commonest_site(o for o in case.model.get("optimizers", []) if o.get("site"))
    shown = typical if typical > ratio else early
    yield Finding(
        title=f"the learning rate {number(max(rates))} is too high: "
        + (
            "on one batch the loss rises at this rate and falls at a smaller one"
            if tried
            else f"{'each step moves' if shown is typical else 'early steps move'} the weights by {shown:.0%} of their size"
        )
        + (", and the loss becomes non-finite" if blow_up else f", and the loss goes from {number(head)} to {number(tail)}"),
        proof=Proof.EXPERIMENT if tried else Proof.INFERENCE,
        evidence=(
            Evidence("median |Δw|/|w| per step", typical, "about 1e-3, below 0.1", "metrics.jsonl"),
            Evidence("loss, first and last", f"{number(head)} → {'non-finite' if blow_up else number(tail)}", "falling"),
            *(Evidence(f"one batch on copies after step {r.step}, by multiple of the rate", arms(r), "", "probe") for r in tried),
        ),
        location=Location.of(rate_place(case, site) or site),
        onset_step=next((s for s, v in ratios if v > ratio), 0),
        fix=Fix(f"Lower the learning rate tenfold, to about {number(max(rates) / 10)}, and warm it up over the first steps."),
    )


def _warm(case: Case) -> bool:
    """Whether the rate rises in the first steps: then the early ratios are not those of the rate that matters."""
    rates = [rate for r in case.metrics[:12] if (rate := r.get("lr")) is not None]
    return len(rates) > 2 and rates[-1] > 1.5 * rates[0]
