"""How a loss compares with the best guess that ignores the input: 1 is chance, below it something was learned of the input."""

from __future__ import annotations

from collections.abc import Mapping
from math import log
from statistics import median
from typing import Any

from cognate.case.case import Case

# Fewer targets, or targets of nearly one kind, say little about what a guess costs.
LEAST_TARGETS = 16
LEAST_ENTROPY = 0.5


def over_chance(case: Case, grad: bool) -> dict[int, float]:
    """By step, the loss as a share of what the best constant guess costs: entropy of its labels (nats), variance of its targets.

    `grad` chooses training losses, False those of evaluations. Steps without such a loss, and step 0, are left out.
    """
    found: dict[int, list[float]] = {}
    for call in case.events("loss_call", grad=grad):
        ratio = _ratio(call)
        if ratio is not None and call.get("step"):
            found.setdefault(int(call["step"]), []).append(ratio)
    return {step: median(ratios) for step, ratios in found.items()}


def entropy(counts: Mapping[str, int]) -> float:
    """The entropy in nats of labels that occur so often; there must be some. The cross-entropy of the best constant guess."""
    total = sum(counts.values())
    return -sum(count / total * log(count / total) for count in counts.values())


def _ratio(call: dict[str, Any]) -> float | None:
    target, value = call.get("target", {}), call.get("value")
    if value is None or call.get("weighted") or call.get("reduction", "mean") == "sum":
        return None
    if call.get("fn") in ("cross_entropy", "nll_loss"):
        counts = target.get("histogram", {}).get("counts", {})
        if sum(counts.values()) < LEAST_TARGETS:
            return None
        guess = entropy(counts)
        return float(value) / guess if guess > LEAST_ENTROPY else None
    if call.get("fn") == "mse_loss":
        spread, rows = target.get("std") or 0.0, (target.get("shape") or [0])[0]
        return float(value) / spread**2 if spread > 0 and rows >= LEAST_TARGETS else None
    return None
