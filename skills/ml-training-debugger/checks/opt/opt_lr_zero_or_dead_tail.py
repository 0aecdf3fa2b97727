"""OPT210: steps that are taken with a learning rate of nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cognate.case.curves import Curve, extent, logged, loss_curves, lr_curves, points, shown
from cognate.case.series import trend
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, Skip, rule
from cognate.rules.source import argument_origin


@rule(
    code="OPT210",
    name="opt-lr-zero-or-dead-tail",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    explains={"loss-not-decreasing", "loss-plateau", "opt-weights-not-moving"},
    sources={
        "dead": "a thousandth of the peak: cosine and linear schedules to zero spend below 2.1 % of a run there, step "
        "schedules of three decades none",
        "share": "a tenth of the run, five times what a cosine to zero spends below a thousandth",
        "least": "ten steps: fewer happen at the ends of warm-up and decay",
    },
    fires=Example(metrics=[{"step": step, "loss": 1.0, "lr": max(0.0, 0.1 * (1 - step / 50))} for step in range(1, 100)]),
    quiet=Example(metrics=[{"step": step, "loss": 1.0, "lr": 0.1 * (1 - step / 100)} for step in range(1, 100)]),
)
def opt_lr_zero_or_dead_tail(
    case: Case, *, dead: float = 1e-3, share: float = 0.1, least: int = 10
) -> Iterator[Finding | Clear | Skip]:
    """The learning rate is zero, or the schedule has died long before the run ends.

    Steps without a learning rate cost as much as others and change nothing. Usual reasons: a scheduler stepped per
    batch but sized in epochs, a total step count from another run, a warm-up from 0 that is stepped once an epoch, a
    decay that is applied twice.
    """
    curves = [curve for curve in lr_curves(case) if len(curve.values) >= least and None not in curve.values]
    if not curves:
        yield Skip(f"fewer than {least} learning rates are known", "log the learning rate, or observe with `cognate run`")
    for curve in curves:
        rates = [abs(value) for value in curve.values if value is not None]
        finding = (
            None if _moved(case, curve) or _rounded(case, rates) else _judge(curve, rates, dead, max(least, share * len(rates)))
        )
        yield (replace(finding, location=_place(case)) if finding else None) or Clear(
            f"{curve.title} {extent(rates)}, {shown(rates[-1])} at last"
        )


def _place(case: Case) -> Location | None:
    """Where the factor of a decay is set, else where the schedule or the optimizer is built."""
    built = [e.get("site") for e in case.events("scheduler")] or [e.get("site") for e in case.events("optimizer")]
    site = built[0] if built else None
    return Location.of(argument_origin(case, site, "gamma") or site)


def _moved(case: Case, curve: Curve) -> bool:
    """Whether weights moved at steps whose recorded rate was zero: then the rate is not the one that was used."""
    zero = {step for step, value in zip(curve.steps, curve.values, strict=True) if value == 0}
    return bool(zero) and any((ratio or 0.0) > 0 and step in zero for step, ratio in points(case, "update_ratio"))


def _rounded(case: Case, rates: list[float]) -> bool:
    """Whether a log that shows 0 throughout shows a loss that falls: then 0 is what was left of a small rate in print."""
    falls = (trend(loss.values) for loss in loss_curves(case)) if logged(case) and not any(rates) else ()
    return any(slope is not None and slope.falls for slope in falls)


def _judge(curve: Curve, rates: list[float], dead: float, enough: float) -> Finding | None:
    peak = max(rates)
    count, steps = len(rates), curve.steps
    if peak == 0:
        return _finding(curve, f"the {curve.title} is exactly 0 at all {count} recorded steps", 0, (0, count), Severity.ERROR)
    head = next(index for index, rate in enumerate(rates) if rate > 0)
    if head >= enough:
        title = f"the {curve.title} is exactly 0 until {curve.unit} {steps[head]}: {head} of {count} recorded steps are lost"
        return _finding(curve, title, peak, (0, head), None)
    tail = count
    # A rate that three decades of steps brought to exactly a thousandth is not below it, whatever its last bit says.
    while tail > 0 and rates[tail - 1] < (1 - 1e-6) * dead * peak:
        tail -= 1
    if count - tail < enough:
        return None
    title = (
        f"the {curve.title} is dead from {curve.unit} {steps[tail]} to the end ({(count - tail) / count:.0%} of the run): "
        f"at most {shown(max(rates[tail:]))}, the peak was {shown(peak)}"
    )
    return _finding(curve, title, peak, (tail, count), None)


def _finding(curve: Curve, title: str, peak: float, where: tuple[int, int], severity: Severity | None) -> Finding:
    low, high = where
    return Finding(
        title,
        Proof.MEASUREMENT,
        (
            Evidence("recorded steps without a learning rate", high - low, "a few at most", curve.source),
            Evidence("highest learning rate", shown(peak)),
        ),
        Fix(
            "Make the schedule as long as the run",
            (
                "Count optimizer steps, epochs × batches ÷ accumulation, and give that number to the scheduler",
                "Call scheduler.step() as often as that number assumes: once a batch or once an epoch",
                "Start a warm-up above 0",
            ),
        ),
        onset_step=curve.onset(low),
        severity=severity,
    )
