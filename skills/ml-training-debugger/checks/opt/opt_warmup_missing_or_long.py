"""The warm-up outlasts the run, or is missing where the first steps throw the weights away."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import median

from cognate.case.curves import loss_series
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.schedules import Schedule, ended_by_itself, schedules
from cognate.rules.source import argument_origin, calls
from cognate.rules.training import modules, number, where

_ADAPTIVE = ("Adam", "AdamW", "NAdam", "RAdam", "Adamax", "Adagrad", "RMSprop", "Adafactor", "Lion")


def _parts(warmup: int) -> dict:
    site = {"file": "t.py", "line": 20, "function": "main"}
    schedule = {"object": "scheduler#0", "cls": "LambdaLR", "optimizer": "optimizer#0", "steps": 100, "site": site}
    schedule["plan"] = {"num_warmup_steps": warmup, "num_training_steps": 100}
    metrics = [{"step": i, "loss": 1.0, "lr": 0.1 * min(1.0, i / warmup)} for i in range(100)]
    return {
        "events": [{"kind": "scheduler", **schedule}, {"kind": "schedules", "schedules": [schedule]}],
        "metrics": metrics,
        "info": {"exit": {"code": 0}, "integrity": {"steps_seen": 100}},
    }


@rule(
    code="OPT122",
    name="opt-warmup-missing-or-long",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"metrics.lr"},
    explains={
        "opt-lr-too-low", "loss-not-decreasing", "data-input-label-misaligned", "opt-lr-zero-or-dead-tail", "loss-plateau",
        "opt-sched-horizon-mismatch",
    },
    sources={
        "least": "our calibration: a shorter run is a trial of a longer one",
        "low": "our calibration: a schedule that begins above a twentieth of its last value is no warm-up from nothing",
        "share": "Google tuning playbook: at most a tenth of the run; a cycle up and down takes a half, so we ask for more",
        "moderate": "schedules warm up for 1 to 30 % of their length: within that, the length is wrong and not the warm-up",
        "thrown": "our calibration: twice the first loss is more than noise, after a twentieth of the run more than a spike",
    },
    fires=Example(**_parts(5000)),
    quiet=Example(**_parts(10)),
)  # fmt: skip
def opt_warmup_missing_or_long(
    case: Case, *, least: int = 50, low: float = 0.05, share: float = 0.6, moderate: float = 0.35, thrown: float = 2.0
) -> Iterator[Said]:
    """The warm-up is longer than the run, so the learning rate never arrives; or there is none, and the first steps do harm.

    A warm-up in another unit (tokens, micro-batches, the steps of a longer run) leaves the rate at a fraction of what was set.
    An adaptive optimizer without one takes its largest steps while its moments rest on a few gradients: the loss of a deep
    model with attention leaps up and spends much of the run on the way back.
    """
    rates = max(_rates(case), key=len, default=[])
    if len(rates) < least:
        yield Skip(f"the run has fewer than {least} steps", "")
        return
    known = schedules(case)
    long = _long(case, rates, known, low, share, moderate) if ended_by_itself(case) else None
    missing = None if long else _missing(case, rates, thrown)
    found = long or missing
    if found:
        yield found
        return
    peak = rates.index(max(rates))
    yield Clear(f"the learning rate is at its height after {peak} of {len(rates)} steps")


def _long(case: Case, rates: list[float], known: list[Schedule], low: float, share: float, moderate: float) -> Finding | None:
    peak = rates.index(max(rates))
    if rates[0] > low * max(rates) or any(b < a * (1 - 1e-9) for a, b in pairwise(rates[: peak + 1])):
        return None
    if len(set(rates[: peak + 1])) < 10:  # it jumps, and does not warm up
        return None
    schedule = known[0] if known else None
    if schedule and not schedule.per_batch:  # the wrong unit: opt-sched-epoch-vs-step
        return None
    unfinished = peak == len(rates) - 1 and rates[-1] > rates[-max(2, len(rates) // 10)]
    if not unfinished and peak < share * len(rates):
        return None
    warmup = _planned(schedule)
    length = schedule.planned if schedule else None
    if length and length > 1.5 * len(rates) and (schedule.cls == "OneCycleLR" or (warmup or 0) <= moderate * length):  # type: ignore[union-attr]
        return None  # a warm-up of an ordinary share of a schedule that is too long: opt-sched-horizon-mismatch
    if unfinished:
        what = f"never ends: the learning rate still rises at the last of {len(rates)} steps ({number(rates[-1])})"
    else:
        what = f"takes {peak} of {len(rates)} steps"
    site = schedule.site if schedule else None
    plan = f", planned for {warmup:g}" if warmup else ""
    return Finding(
        title=f"the warm-up {what}{plan}" + (f" (schedule of {where(site)})" if site else ""),
        proof=Proof.MEASUREMENT,
        severity=None if unfinished else Severity.WARNING,
        evidence=(
            Evidence("learning rate, first and last step", [rates[0], rates[-1]], "at its height after a tenth", "metrics.jsonl"),
            Evidence("optimizer steps of the run", len(rates)),
            *((Evidence("plan", schedule.plan, "", "events.jsonl"),) if schedule and schedule.plan else ()),
        ),
        location=Location.of(_setting(case) or site),
        onset_step=0,
        fix=Fix(f"Warm up for a tenth of the run at most, here {max(1, len(rates) // 10)} optimizer steps."),
    )


def _rates(case: Case) -> list[list[float]]:
    """The rates of each optimizer: another one's rate is no rise."""
    where, rates = case.metrics.take("lr")
    labels = case.metrics.texts("optimizer")
    if labels is None:
        return [[rate for rate in rates if rate is not None]]
    own = list(zip((labels[row] for row in where), rates, strict=True))
    return [[rate for label, rate in own if label == one and rate is not None] for one in sorted(set(labels), key=str)]


def _planned(schedule: Schedule | None) -> float | None:
    plan = schedule.plan if schedule else {}
    value = plan.get("num_warmup_steps") or (plan.get("total_iters") if schedule and schedule.cls == "LinearLR" else None)
    if value is None and schedule and schedule.cls == "SequentialLR" and plan.get("milestones"):
        value = plan["milestones"][0]
    return float(value) if value else None


def _setting(case: Case) -> dict | None:
    """Where a call is given the length of the warm-up, by the keywords of torch's and transformers' interfaces."""
    for file, node, _ in calls(case):
        for keyword in ("warmup_steps", "num_warmup_steps", "warmup_ratio"):
            given = next((k for k in node.keywords if k.arg == keyword), None)
            if given is not None:
                origin = argument_origin(case, {"file": file, "line": node.lineno}, keyword)
                return origin or {"file": file, "line": given.value.lineno}
    return None


def _missing(case: Case, rates: list[float], thrown: float) -> Finding | None:
    """A leap of the loss in the first steps of an adaptive optimizer at full rate, on attention, that takes long to mend."""
    optimizer = next((o for o in case.model.get("optimizers", []) if o.get("steps")), None)
    attention = any("attention" in str(m.get("cls", "")).lower() for m in modules(case).values())
    curve = loss_series(case)
    losses = [v for v in curve.values if v is not None] if curve else []
    full = max(rates[:3]) > 0.9 * max(rates)
    if optimizer is None or optimizer.get("cls") not in _ADAPTIVE or not attention or not full or len(losses) < 50:
        return None
    head, early = losses[0], max(losses[1 : max(10, len(losses) // 20)])
    back = next((i for i, v in enumerate(losses) if i > losses.index(early) and v < head), len(losses))
    ratios = [moved for r in case.metrics[:12] if (moved := r.get("update_ratio")) is not None]
    tail = median(losses[-max(3, len(losses) // 10) :])
    # Where the loss never comes below its start, the rate itself is too high.
    if head <= 0 or early < thrown * head or back < len(losses) / 20 or tail > 0.7 * head or not ratios or max(ratios) < 0.1:
        return None
    return Finding(
        title=f"there is no warm-up: {optimizer.get('cls')} starts at its full rate {number(max(rates))}, the loss leaps from "
        f"{number(head)} to {number(early)} and needs {back} of {len(losses)} steps to be back",
        proof=Proof.INFERENCE,
        severity=Severity.WARNING,
        evidence=(
            Evidence("loss: first, highest of the first twentieth", [head, early], "falling", "metrics.jsonl"),
            Evidence("largest |Δw|/|w| of the first steps", max(ratios), "about 1e-3, below 0.1", "metrics.jsonl"),
        ),
        location=Location.of(optimizer.get("site")),
        onset_step=0,
        fix=Fix(f"Let the learning rate rise from 0 over the first {max(10, len(rates) // 20)} steps, or lower it."),
    )
