"""Linear head and cross-entropy in one, a few rows at a time: the logits of a batch never exist as a whole.

With a large vocabulary the logits are by far the largest tensors of a training step, and their gradient is as large again.
Here both
live in one buffer of CHUNK_ELEMENTS numbers: the gradients with respect to features and head are made on the way forward, when
softmax and target are at hand, and only scaled on the way back (as in Liger Kernel, Hsu et al. 2024, arXiv:2410.10989).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

CHUNK_ELEMENTS = 2**24  # logits at a time: 64 MiB in float32, 333 rows of a vocabulary of 50,257
TILE = 1024  # words of the vocabulary in one product on a CPU: about 0.7 x the time of one large product where this was written


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, features: Tensor, weight: Tensor, targets: Tensor, coefficients: Tensor, learns: bool
    ) -> tuple[Tensor, Tensor]:
        device = features.device.type
        compute = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        wide = torch.promote_types(compute, torch.float32)  # softmax, losses and sums: bfloat16 holds three digits
        losses = torch.empty(len(features), dtype=wide, device=features.device)
        grad_features = torch.empty_like(features) if learns and features.requires_grad else None
        grad_weight = torch.zeros_like(weight, dtype=wide) if learns and weight.requires_grad else None
        size = min(len(features), max(1, CHUNK_ELEMENTS // len(weight)))
        with torch.autocast(device, enabled=False):
            head = weight.to(compute)
            logits = torch.empty(size, len(weight), dtype=compute, device=features.device)
            buffer = logits if compute is wide else torch.empty_like(logits, dtype=wide)
            for start in range(0, len(features), size):
                rows = slice(start, min(len(features), start + size))
                chunk, target = features[rows].to(compute), targets[rows, None]
                scores = _scores(chunk, head, logits[: len(chunk)])
                log_p = torch.log_softmax(scores, -1, dtype=wide, out=buffer[: len(chunk)])
                losses[rows] = -log_p.gather(1, target)[:, 0]
                if grad_features is None and grad_weight is None:
                    continue
                # d loss / d logits = coefficient * (softmax - one-hot), in the place of the log-probabilities
                scale = coefficients[rows, None].to(wide)
                slope = log_p.exp_().mul_(scale).scatter_add_(1, target, -scale).to(compute)
                if grad_features is not None:
                    grad_features[rows] = slope @ head
                if grad_weight is not None and compute is wide:
                    grad_weight.addmm_(slope.t(), chunk)
                elif grad_weight is not None:
                    grad_weight += slope.t() @ chunk
        ctx.save_for_backward(grad_features, grad_weight, losses)
        ctx.dtypes = weight.dtype, coefficients.dtype
        ctx.mark_non_differentiable(losses)
        return (losses * coefficients).sum(), losses

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Tensor | None, Tensor | None, None, Tensor, None]:
        grad_features, grad_weight, losses = ctx.saved_tensors
        return (
            None if grad_features is None else grad_features * grad,
            None if grad_weight is None else (grad_weight * grad).to(ctx.dtypes[0]),
            None,
            (losses * grad).to(ctx.dtypes[1]),
            None,
        )


def _scores(features: Tensor, head: Tensor, out: Tensor) -> Tensor:
    """features @ head.T into `out`. A CPU keeps a tile of the result in its cache, a GPU wants it in one go."""
    if features.device.type != "cpu":
        return torch.mm(features, head.t(), out=out)
    for start in range(0, len(head), TILE):
        torch.mm(features, head[start : start + TILE].t(), out=out[:, start : start + TILE])
    return out


def linear_cross_entropy(features: Tensor, weight: Tensor, targets: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """sum_i coefficients_i * cross_entropy(features_i @ weight.T, targets_i), and the single cross-entropies.

    `features` (N, D), `weight` (V, D), `targets` (N) int64 in [0, V), `coefficients` (N) float32. Returns a differentiable scalar
    and (N) float32 in nats without gradient. The gradient reaches `features`, `weight` and `coefficients`. In float32 it equals
    the plain computation to rounding; under bfloat16 autocast the products are made in bfloat16, softmax and sums in float32.
    """
    # Inside `forward` gradients are always off, so that it has to be told whether they are wanted.
    total, losses = _LinearCrossEntropy.apply(features, weight, targets, coefficients, torch.is_grad_enabled())
    return total, losses
