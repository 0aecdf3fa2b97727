"""Does one small step along the run's own gradients lower the loss?"""

from __future__ import annotations

from typing import Any

import torch

from cognate.observe.live.facts import wide
from cognate.observe.probes.replay import NotRun, Replay

# The step is sized so that, to first order, the loss changes by this share of itself.
AIM = 0.01


def small_step(replay: Replay) -> dict[str, Any]:
    """Took one small step against the gradients that the run itself computed, on a copy, and measured the same loss again."""
    model = replay.copy()
    live = dict(replay.snapshot.module.named_parameters())
    gradients = {n: p.grad.detach() for n, p in live.items() if p.grad is not None and not p.grad.is_sparse}
    size = sum(float((wide(g) ** 2).sum()) for g in gradients.values())
    if not gradients or size == 0.0 or size != size:
        raise NotRun("the run's own gradients are gone, zero or not finite when the step is over")
    args, kwargs = replay.inputs()
    with torch.no_grad():
        before = float(replay.value(replay.scores(model, args, kwargs, True)))
        # The whole objective may be a multiple of this loss; the coefficient puts the step on the loss's own scale.
        weight = abs(replay.loss.row.get("coefficient") or 1.0) if replay.loss else 1.0
        length = AIM * abs(before) * weight / size
        for name, parameter in model.named_parameters():
            if name in gradients:
                parameter.sub_(gradients[name] * length)
        args, kwargs = replay.inputs()
        after = float(replay.value(replay.scores(model, args, kwargs, True)))
    return {"before": before, "after": after, "relative": (after - before) / max(abs(before), 1e-12), "aim": -AIM}
