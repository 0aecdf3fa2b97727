"""Is the first loss what an untrained classifier should have: ln(number of classes)?"""

from __future__ import annotations

import math
from typing import Any

from cognate.observe.probes.replay import NotRun, Replay


def first_loss(replay: Replay) -> dict[str, Any]:
    """Compared the first training loss with ln(classes), the cross-entropy of a uniform guess (Karpathy's recipe)."""
    loss = replay.loss
    if loss is None or loss.name != "cross_entropy" or not loss.row.get("classes"):
        raise NotRun("the first loss is not a cross-entropy over classes")
    if loss.row.get("weighted") or loss.row.get("label_smoothing"):
        raise NotRun("the first cross-entropy is weighted or smoothed, so ln(classes) is not expected")
    classes = int(loss.row["classes"])
    if classes < 2:
        raise NotRun("the loss has a single class")
    if loss.row.get("reduction") == "sum":
        raise NotRun("the first cross-entropy is summed, not averaged")
    return {
        "value": loss.row["value"],
        "classes": classes,
        "expected": math.log(classes),
        "kind": loss.row.get("input", {}).get("kind"),
    }
