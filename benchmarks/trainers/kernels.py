"""Parts of the model against their naive counterparts: how fast they are, and how exact the fused loss is."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cognate.model.memory import fading_sum
from cognate.train.fused_loss import linear_cross_entropy
from trainers.naive import looped_fading_sum, masked_softmax_attention

ROWS, MEMORY, HEADS, HEAD_WIDTH, DECAY = 4, 128, 8, 32, 0.996  # as in phase1


def cpu_seconds(work: Callable[[], object], repeats: int) -> float:
    """CPU seconds of one `work`."""
    started = time.process_time()
    for _ in range(repeats):
        work()
    return (time.process_time() - started) / repeats


def turns(ours: Callable[[], object], theirs: Callable[[], object], rounds: int, seconds: float) -> list[float]:
    """Ratios of `ours` to `theirs`, which take turns; each turn is repeated for about `seconds`."""
    repeats = [max(1, round(seconds / max(1e-9, cpu_seconds(work, 2)))) for work in (ours, theirs)]
    return [cpu_seconds(ours, repeats[0]) / cpu_seconds(theirs, repeats[1]) for _ in range(rounds)]


def scan(tokens: int, rounds: int, seconds: float) -> list[float]:
    """The memory's scan over time against a loop, forward and backward."""
    x = torch.randn(ROWS, tokens, MEMORY, requires_grad=True)
    slope = torch.randn(ROWS, tokens, MEMORY)
    return turns(
        lambda: fading_sum(x, DECAY).backward(slope), lambda: looped_fading_sum(x, DECAY).backward(slope), rounds, seconds
    )


def attention(tokens: int, rounds: int, seconds: float) -> list[float]:
    """Scaled dot-product attention against a masked softmax, forward and backward."""
    query, key, value = (torch.randn(ROWS, HEADS, tokens, HEAD_WIDTH, requires_grad=True) for _ in range(3))
    slope = torch.randn(ROWS, HEADS, tokens, HEAD_WIDTH)
    mask = torch.ones(tokens, tokens, dtype=torch.bool).tril()
    return turns(
        lambda: F.scaled_dot_product_attention(query, key, value, is_causal=True).backward(slope),
        lambda: masked_softmax_attention(query, key, value, mask).backward(slope),
        rounds,
        seconds,
    )


@dataclass(frozen=True)
class Gradients:
    """Of the summed loss with respect to the features (N, D) and the head (V, D)."""

    features: Tensor
    head: Tensor

    def largest_difference(self, other: Gradients) -> float:
        """The largest difference, as a share of the largest gradient of the same tensor."""
        pairs = ((self.features, other.features), (self.head, other.head))
        return max(float((mine - theirs).abs().max() / theirs.abs().max()) for mine, theirs in pairs)

    def error(self, exact: Gradients) -> tuple[float, float]:
        """Norm of the difference as a share of the norm: of the features' gradient and of the head's."""
        pairs = ((self.features, exact.features), (self.head, exact.head))
        features, head = (float(torch.linalg.vector_norm(mine - true) / torch.linalg.vector_norm(true)) for mine, true in pairs)
        return features, head


@dataclass(frozen=True)
class LossExample:
    """Features, a head that gives logits of deviation `spread`, and targets, of the reference model's width."""

    rows: int
    vocabulary: int
    spread: float
    width: int = 256

    def gradients(self, fused: bool, half: bool) -> Gradients:
        """By the fused or the plain computation, in float32 or under bfloat16 autocast."""
        generator = torch.Generator().manual_seed(0)
        features = torch.randn(self.rows, self.width, generator=generator).requires_grad_()
        head = (torch.randn(self.vocabulary, self.width, generator=generator) * self.spread / self.width**0.5).requires_grad_()
        targets = torch.randint(self.vocabulary, (self.rows,), generator=generator)
        coefficients = torch.rand(self.rows, generator=generator)
        with torch.autocast("cpu", dtype=torch.bfloat16) if half else nullcontext():
            if fused:
                total = linear_cross_entropy(features, head, targets, coefficients)[0]
            else:
                total = (F.cross_entropy(F.linear(features, head), targets, reduction="none") * coefficients).sum()
        total.backward()
        assert features.grad is not None and head.grad is not None
        return Gradients(features.grad.float(), head.grad.float())
