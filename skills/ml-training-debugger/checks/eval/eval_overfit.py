"""EVAL202: the validation loss rises while the training loss falls."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from statistics import median
from typing import Any, cast

from cognate.case.curves import Curve, loss_curves, shown, validation_curves, validation_metric_curves
from cognate.case.printed import printed_text
from cognate.case.series import finite, noise
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Severity, Skip, rule
from cognate.rules.flow import flows
from cognate.rules.places import last_name, literal_of
from cognate.rules.source import calls


def _example(rising: bool) -> Example:
    return Example(
        metrics=[
            row
            for step in range(1, 13)
            for row in (
                {"step": step * 100, "loss": 2.0 / step},
                {"step": step * 100, "val_loss": 1.0 + (0.08 * abs(step - 4) if rising else 1.0 / step)},
            )
        ]
    )


MILD = 1.35  # our calibration on labelled runs: rises below a third were called healthy about as often as overfit


@rule(
    code="EVAL202",
    name="eval-overfit",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    explains={"train-eval-gap"},
    sources={
        "least_rise": "10 % above the minimum: real runs called overfitted by people rose by 15 and 27 %, one that they "
        "left open by 1.3 %",
        "sigmas": "the minimum of a flat noisy series of 15 lies 1.7 standard deviations below its mean: two are more",
        "gap": "a training loss below half the validation loss is a sign too: 3/4 of `sigmas` do then",
        "least_after": "three evaluations after the best one: fewer make no trend",
    },
    fires=_example(True),
    quiet=_example(False),
)
def eval_overfit(
    case: Case, *, least_rise: float = 0.1, sigmas: float = 2.0, gap: float = 2.0, least_after: int = 3
) -> Iterator[Finding | Clear | Skip]:
    """The model overfits: the validation loss rises from its minimum while the training loss keeps falling.

    What is learned after the minimum holds for the training data only. Keep the weights of the minimum, or regularise,
    add data, train shorter. A run that early stopping ends soon after the minimum is not meant.
    """
    curves = [curve for curve in validation_curves(case) if len(finite(curve.values)) >= least_after + 2]
    losses = loss_curves(case)
    if not curves or not losses:
        yield Skip(f"fewer than {least_after + 2} validation losses or no training loss are known", "evaluate more often")
        return
    if _stopped_early(case):
        yield Clear("early stopping ended the run")
        return
    for curve in curves:
        same = [loss for loss in losses if loss.part == curve.part] or losses
        finding = _judge(case, curve, max(same, key=lambda one: len(one.values)), (least_rise, sigmas, gap), least_after)
        numbers = finite(curve.values)
        yield finding or Clear(
            f"{curve.title} ends at {shown(numbers[-1])}, its minimum over {len(numbers)} evaluations is {shown(min(numbers))}"
        )


def _stopped_early(case: Case) -> bool:
    facts = cast("dict[str, Any]", case.info).get("log", {})
    said = any("early" in line.lower() and "stop" in line.lower() for line in printed_text(case)[-20:])
    return bool(facts.get("stopped_early")) or said


def _judge(case: Case, curve: Curve, loss: Curve, limits: tuple[float, float, float], least_after: int) -> Finding | None:
    least_rise, sigmas, gap = limits
    places = [index for index, value in enumerate(curve.values) if value is not None]
    values = finite(curve.values)
    best = min(range(len(values)), key=values.__getitem__)
    after = values[best:]
    before, now = _around(loss, curve, places[best])
    if len(after) <= least_after or values[best] <= 0 or before is None or now is None or now >= 0.95 * before:
        return None
    end, spread = median(after[-3:]), noise(values)
    needed = sigmas * spread if gap * now > end else 0.75 * sigmas * spread
    # A lucky dip is no turning point: the end must also lie above the neighbours of the minimum.
    valley = median(values[max(0, best - 1) : best + 2])
    if end - values[best] <= max(least_rise * values[best], needed) or end <= (1 + least_rise / 2) * valley:
        return None
    step = curve.steps[places[best]]
    return Finding(
        f"the model overfits from {curve.unit} {step} on: the {curve.title} rises from {shown(values[best])} to {shown(end)} "
        f"(+{(end / values[best] - 1) * 100:.0f} %) while the {loss.title} falls from {shown(before)} to {shown(now)}",
        Proof.MEASUREMENT,
        (
            Evidence("validation loss: minimum, end", [shown(values[best]), shown(end)], "no trend upwards", curve.source),
            Evidence("training loss: then, end", [shown(before), shown(now)], "", loss.source),
            Evidence("evaluations since the minimum", len(after) - 1),
            Evidence("noise of the validation loss", shown(spread)),
        ),
        Fix(
            f"Keep the weights of {curve.unit} {step}, and regularise before training longer",
            (
                "Save a checkpoint at each new minimum of the validation loss and use the best one",
                "Stop early: end when it has not improved for a few evaluations",
                "More or augmented data, weight decay, dropout, or a smaller model",
            ),
            effort="hours",
        ),
        location=Location.of(_switched_off(case)),
        onset_step=curve.onset(places[best]),
        # A mild rise is the usual end of a healthy run that keeps its best weights; it is told, not held against it.
        # So is one that costs no accuracy: a classifier may grow too sure of itself and decide as well as before.
        severity=Severity.INFO
        if end < MILD * values[best] or _kept(case, curve, places[best]) or _as_good(case, curve, best)
        else None,
    )


def _kept(case: Case, curve: Curve, best: int) -> bool:
    """Whether the script kept weights again and again until the minimum, and not after it: those of the minimum are there."""
    kept = [int(e["step"]) for name in ("state_dict", "deepcopy", "save") for e in case.events("checkpoint", name=name)]
    following = curve.steps[best + 1] if best + 1 < len(curve.steps) else curve.steps[best]
    return curve.unit == "step" and len(set(kept)) >= 2 and curve.steps[best] <= max(kept) < following


def _as_good(case: Case, curve: Curve, best: int) -> bool:
    """Whether an accuracy of the same evaluations is as high at the end as it was at the minimum of the loss."""
    for metric in validation_metric_curves(case):
        values = finite(metric.values)
        if len(values) == len(finite(curve.values)) and "acc" in metric.name.lower() and min(values) >= 0:
            return median(values[-3:]) >= median(values[max(0, best - 1) : best + 2]) - noise(values)
    return False


def _around(loss: Curve, curve: Curve, index: int) -> tuple[float | None, float | None]:
    """Level of the training loss when `curve` had its value number `index`, and at the end."""
    numbers = finite(loss.values)
    if loss.unit == curve.unit:
        seen = [v for step, v in zip(loss.steps, loss.values, strict=True) if v is not None and step <= curve.steps[index]]
    else:
        # One counts steps and the other epochs: the same share of the run.
        seen = numbers[: max(1, len(numbers) * (index + 1) // len(curve.values))]
    size = max(1, len(numbers) // 10)
    near = seen[-size:] or numbers[:1]
    return (median(near), median(numbers[-size:])) if numbers else (None, None)


def _switched_off(case: Case) -> dict[str, Any] | None:
    """Where dropout is set to zero, if every dropout that ran in training dropped nothing: a regulariser that is off."""
    rates = [
        n.get("a", {}).get("p") for g in flows(case) for n in g.nodes if n["op"] == "dropout" and n.get("a", {}).get("training")
    ]
    if not rates or any(rate != 0 for rate in rates):
        return None
    for file, node, name in calls(case):
        given = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "p")] if name.lower().startswith("dropout") else []
        for value in given:
            if isinstance(value, ast.Constant) and value.value == 0:
                return {"file": file, "line": node.lineno}
            if place := literal_of(case, (last_name(value),), 0.0):
                return place
    return None
