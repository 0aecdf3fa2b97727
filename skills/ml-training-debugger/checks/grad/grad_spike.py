"""Single batches give gradients that are orders of magnitude too large, and nothing limits them."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from cognate.case.curves import Curve, logged, loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, number

# Losses on either side of a spike that say where the level lies.
AROUND = 20


def _metrics(harm: float) -> list[dict]:
    level, rows = 2.0, []
    for i in range(120):
        level = level * harm if i in (31, 51, 71, 91) else max(0.1, level * 0.99)
        rows.append({"step": i, "loss": 5000.0 if i in (30, 50, 70, 90) else level, "lr": 0.01})
    return rows


@rule(
    code="GRAD121",
    name="grad-spike",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.loss"},
    explains={
        "grad-exploding", "loss-diverging", "loss-not-decreasing", "loss-nonfinite", "loss-oscillating", "loss-plateau",
        "opt-lr-too-high", "eval-overfit", "model-dead-relu",
    },
    sources={
        "times": "our calibration: ten times the third quartile, around it and of the run, is far beyond the noise of batches; a "
        "squared error of a single normal sample gets there once in 3000",
        "least": "one spike that recovers is healthy (BLOOM, 2022-04-12, recovered within 30 steps); a habit needs several",
        "rare": "our calibration: what happens in more than a fifth of the batches is no outlier",
        "harm": "our calibration: half as much again as before, by the medians of twenty losses on either side",
    },
    fires=Example(metrics=_metrics(2.5)),
    quiet=Example(metrics=_metrics(1.0)),
)  # fmt: skip
def grad_spike(case: Case, *, times: float = 10.0, least: int = 3, rare: float = 0.2, harm: float = 1.5) -> Iterator[Said]:
    """Rare batches have a loss, and with it a gradient, far beyond the others; unclipped, each such step undoes what was learned.

    Outliers in the data (a wrong unit, a corrupt row, a heavy tail under a squared error) give gradients far beyond the usual.
    The loss of the very batch is the outlier, and the level of the ordinary batches is higher after it than before. Spikes after
    which training goes on as before do no harm, and where gradients are clipped they cannot.
    """
    if logged(case):
        yield Skip("a log does not tell whether gradients are clipped: leaps of the loss are told by loss-spike", "")
        return
    curve = loss_series(case)
    losses = [v for v in curve.values if v is not None] if curve else []
    if curve is None or len(losses) < 3 * AROUND or len(losses) < len(curve.values):
        yield Skip(f"fewer than {3 * AROUND} finite losses are known", "train longer")
        return
    spikes = _spikes(losses, times)
    if len(spikes) < least or len(spikes) > rare * len(losses):
        yield Clear(f"{len(spikes)} of {len(losses)} losses are above {times:g} times the level around them")
        return
    ordinary = [v for i, v in enumerate(losses) if i not in set(spikes)]
    before, last = median(losses[: spikes[0]][-AROUND:]), median(ordinary[-len(ordinary) // 5 :])
    hurt = [k for k in spikes if _after(losses, spikes, k) > harm * _before(losses, spikes, k)]
    clipped = any("clip" in row for row in case.metrics)
    lasting = last > 0.9 * before
    if clipped or len(hurt) < least or not (lasting or len(hurt) > 0.5 * len(spikes)):
        yield Clear(f"{len(spikes)} spikes of the loss{', with clipped gradients,' if clipped else ''} did not raise its level")
        return
    yield _finding(case, curve, losses, spikes, hurt, (before, last))


def _spikes(losses: list[float], times: float) -> list[int]:
    found: list[int] = []
    usual = _upper(losses)
    for k in range(AROUND // 2, len(losses)):
        base = max(usual, _upper(losses[max(0, k - AROUND) : k]))
        # One batch, not a new level: what follows is lower again.
        if base > 0 and losses[k] > times * base and median(losses[k + 1 : k + 1 + AROUND] or [0.0]) < losses[k] / times:
            found.append(k)
    return found


def _upper(losses: list[float]) -> float:
    """The third quartile: losses of one or two samples have a heavy tail of their own, far above their median."""
    return sorted(losses)[3 * len(losses) // 4]


def _before(losses: list[float], spikes: list[int], at: int) -> float:
    return median([losses[i] for i in range(max(0, at - AROUND), at) if i not in spikes] or [losses[at - 1]])


def _after(losses: list[float], spikes: list[int], at: int) -> float:
    return median([losses[i] for i in range(at + 1, min(len(losses), at + 1 + AROUND)) if i not in spikes] or [0.0])


def _finding(
    case: Case, curve: Curve, losses: list[float], spikes: list[int], hurt: list[int], levels: tuple[float, float]
) -> Finding:
    before, last = levels
    usual = median(losses)
    norms = [norm for row in case.metrics if (norm := row.get("grad_norm")) is not None]
    worst = max(spikes, key=lambda k: losses[k])
    site = commonest_site(case.events("call", name="step"))
    return Finding(
        title=f"{len(spikes)} single batches have a loss up to {number(losses[worst])} where {number(usual)} is usual, and "
        f"nothing clips their gradients: the level is {number(before)} before the first of them and {number(last)} at last",
        proof=Proof.MEASUREMENT,
        severity=None if last > 0.9 * before else Severity.WARNING,
        evidence=(
            Evidence("losses above ten times the level around them", len(spikes), "0, or clipped gradients", curve.source),
            Evidence("of these, raised the level of the ordinary batches after them", len(hurt), "0"),
            Evidence("level of ordinary batches before the first spike, and at the end", [before, last], "falling"),
            *((Evidence("gradient norm, median and largest seen", [median(norms), max(norms)]),) if norms else ()),
        ),
        location=Location.of(site),
        onset_step=curve.onset(spikes[0]),
        fix=Fix(
            "Clip the gradients, then look at the batches: clip_grad_norm_ before optimizer.step() at about the usual norm.",
            (
                "Find the rows behind the spikes: wrong units, corrupt records, a heavy tail",
                "Use a loss that grows linearly (Huber) or a target on a log scale where the tail is real",
            ),
        ),
    )
