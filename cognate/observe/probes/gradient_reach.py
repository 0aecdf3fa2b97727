"""Does the loss's gradient reach every trainable parameter?"""

from __future__ import annotations

from typing import Any

from cognate.observe.probes.replay import Replay


def gradient_reach(replay: Replay) -> dict[str, Any]:
    """Ran forward, the main loss and backward on a copy and looked at which trainable parameters received a gradient."""
    model = replay.copy()
    for parameter in model.parameters():
        parameter.grad = None
    args, kwargs = replay.inputs()
    replay.value(replay.scores(model, args, kwargs, True)).backward()
    none, zero, present = [], [], 0
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        if parameter.grad is None:
            none.append(name)
        elif not bool(parameter.grad.to_dense().any()):
            zero.append(name)
        else:
            present += 1
    assert replay.loss is not None
    return {"none": none[:100], "zero": zero[:100], "present": present, "loss": replay.loss.name}
