"""What an optimizer keeps beside the weights: in which number types, and whether half precision lets it change at all."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

# Elements of each tensor that the update ratio is read from: within 0.7 % of the exact ratio (performance facts).
SAMPLED_ELEMENTS = 1024
HALF = (torch.bfloat16, torch.float16)


def half_moment(optimizer: Optimizer, parameter: Tensor) -> Tensor | None:
    """The running mean of squared gradients of `parameter`, where it is kept in half precision."""
    state = optimizer.state.get(parameter)
    moment = state.get("exp_avg_sq") if state else None
    return moment if isinstance(moment, Tensor) and moment.dtype in HALF and parameter.grad is not None else None


def still_moments(moments: list[tuple[Tensor, Tensor, Tensor]]) -> dict[str, float]:
    """The share of half-precision second moments that a step with a gradient left exactly as they were, and of zeros."""
    still = zero = seen = 0
    for parameter, moment, old in moments:
        if parameter.grad is None or parameter.grad.is_sparse or parameter.shape != moment.shape:
            continue
        live = elements(parameter.grad) != 0
        seen += int(live.sum())
        still += int((live & (elements(moment) == old)).sum())
        zero += int((live & (elements(moment) == 0)).sum())
    return {"unchanged_moments": round(still / seen, 5), "zero_moments": round(zero / seen, 5)} if seen else {}


def state_dtypes(optimizer: Optimizer) -> dict[str, dict[str, int]]:
    """The number types that the optimizer keeps its state in: how many tensors of each, by the state's name."""
    found: dict[str, dict[str, int]] = {}
    for state in list(optimizer.state.values())[:2000]:
        for name, value in state.items() if isinstance(state, dict) else ():
            if isinstance(value, Tensor) and value.dim():
                counts = found.setdefault(str(name), {})
                dtype = str(value.dtype).removeprefix("torch.")
                counts[dtype] = counts.get(dtype, 0) + 1
    return found


def elements(parameter: Tensor) -> Tensor:
    """An evenly spaced sample of a parameter, flat, detached."""
    flat = parameter.detach().reshape(-1)
    flat = torch.view_as_real(flat).reshape(-1) if flat.is_complex() else flat
    return flat[:: max(1, flat.numel() // SAMPLED_ELEMENTS)]
