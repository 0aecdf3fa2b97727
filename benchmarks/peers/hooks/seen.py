"""What a user of a tool knows of a script without looking it up: its model, its optimizer, the loss it went backward from."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

LOSSES = (
    *("cross_entropy", "nll_loss", "binary_cross_entropy", "binary_cross_entropy_with_logits", "kl_div", "gaussian_nll_loss"),
    *("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "poisson_nll_loss", "cosine_embedding_loss", "triplet_margin_loss"),
)


def model_of(optimizer: torch.optim.Optimizer, roots: list[nn.Module]) -> nn.Module | None:
    """The root module that shares most parameters with the optimizer, else the largest: what the user would have named."""
    held = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}

    def worth(root: nn.Module) -> tuple[int, int]:
        parameters = list(root.parameters())
        return sum(id(one) in held for one in parameters), sum(one.numel() for one in parameters)

    return max(roots, key=worth, default=None)


def on_call(called: Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None], depth: list[int]) -> None:
    """Calls `called` after each outermost call of a module with parameters; `depth[0]` is positive inside one."""
    original = nn.Module.__call__

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        outer = depth[0] == 0 and next(self.parameters(), None) is not None
        if not outer and depth[0] == 0:  # a loss module, which is no model
            return original(self, *args, **kwargs)
        depth[0] += 1
        try:
            result = original(self, *args, **kwargs)
        finally:
            depth[0] -= 1
        if outer:
            called(self, args, kwargs, result)
        return result

    nn.Module.__call__ = call  # type: ignore[method-assign]


def on_backward(called: Callable[[Tensor], None]) -> None:
    """Calls `called` with each tensor that backward is called on, before it runs."""
    original = Tensor.backward

    @functools.wraps(original)
    def backward(self: Tensor, *args: Any, **kwargs: Any) -> None:
        called(self)
        original(self, *args, **kwargs)

    Tensor.backward = backward  # type: ignore[method-assign]


def on_loss(called: Callable[[Tensor], None]) -> None:
    """Calls `called` with the value of each of torch's loss functions."""
    for name in LOSSES:
        setattr(torch.nn.functional, name, _reporting(getattr(torch.nn.functional, name), called))


def _reporting(original: Callable[..., Tensor], called: Callable[[Tensor], None]) -> Callable[..., Tensor]:
    @functools.wraps(original)
    def loss(*args: Any, **kwargs: Any) -> Tensor:
        value = original(*args, **kwargs)
        called(value)
        return value

    return loss
