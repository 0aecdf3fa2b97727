"""Optimizer steps that a loss scaler skipped, as the log counts them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from cognate.case.curves import Curve, shown, user_curves
from cognate.case.series import finite
from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Proof, Severity, Skip, rule

_LOG = {"origin": "a log", "log": {"step_unit": "step"}}
_SKIPPED = re.compile(r"(skip\w*|nan)[ _/-]+(iter\w*|steps?|updates?)")
_SCALE = re.compile(r"(loss|grad)[ _/-]*scal(e|er|ing)$")


def _rows(skipped: int) -> list[dict]:
    return [{"step": s, "loss": 2.0, "user": {"number of skipped iterations": skipped, "loss scale": 65536}} for s in range(20)]


@rule(
    code="NUM127",
    name="num-steps-skipped",
    severity=Severity.WARNING,
    kind=Kind.SYMPTOM,
    needs={"log"},
    sources={
        "first": "a dynamic loss scale starts at 2^16 or 2^32 and halves: up to twenty steps are skipped by design",
        "share": "a scale that doubles every 1000 steps costs one in a thousand; one in twenty is no search for it",
    },
    fires=Example(info=_LOG, metrics=_rows(1)),
    quiet=Example(info=_LOG, metrics=_rows(0)),
)
def num_steps_skipped(case: Case, *, first: int = 20, share: float = 0.05) -> Iterator[Finding | Clear | Skip]:
    """Steps are skipped because their gradients overflow: the log counts them, and they changed no weight.

    In float16 a loss scaler leaves out steps whose gradients are not finite and halves its scale. A few at the start are how it
    finds the scale; a part of all steps, or a scale that has sunk to 1, means that gradients overflow or are NaN at any scale.
    """
    names = [name[5:] for name in case.metrics.names if name.startswith("user.")]
    counts = [curve for name in names if _SKIPPED.search(name.lower()) for curve in user_curves(case, name)]
    scales = [curve for name in names if _SCALE.search(name.lower()) for curve in user_curves(case, name)]
    if not counts and not scales:
        yield Skip("the log counts no skipped steps and shows no loss scale", "log the loss scale when training in float16")
        return
    for curve in counts:
        numbers = finite(curve.values)
        skipped = sum(number > 0 for number in numbers)
        if skipped > max(share * len(numbers), 0) and len(numbers) > 1 and sum(numbers) > (first if numbers[-1] == 0 else 0):
            yield _finding(curve, f"{curve.name}: {shown(sum(numbers))} in {skipped} of {len(numbers)} entries of the log")
            return
    for curve in scales:
        numbers = finite(curve.values)
        if len(numbers) >= 3 and max(numbers[-3:]) <= 1.0 < max(numbers):
            yield _finding(
                curve, f"the {curve.name} has sunk from {shown(max(numbers))} to {shown(numbers[-1])}: steps overflow at any"
            )
            return
    yield Clear(f"{(counts or scales)[0].name}: nothing beyond the search for a loss scale")


def _finding(curve: Curve, text: str) -> Finding:
    first = next((index for index, value in enumerate(curve.values) if value), 0)
    return Finding(
        f"steps were skipped: {text}",
        Proof.MEASUREMENT,
        (Evidence(curve.name, shown(max(finite(curve.values))), "0 after the first steps", curve.source),),
        Fix("Train in bfloat16 where the device has it; else lower the learning rate and look for what overflows"),
        onset_step=curve.onset(first),
    )
