"""Parameters, floating-point operations, and the plain transformer that costs as much as the reference model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from cognate.model.config import ModelConfig
from cognate.train.batch import Batch
from cognate.train.protocols import Task
from learners.plain import NextToken, PlainModel

COUNTED = 8  # rows of the training data on which operations are counted
FEED_FORWARD_STEP = 8  # features by which the last difference is evened out


def flops(work: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products in `work`, two a multiplication with addition.

    PyTorch's counter knows neither the CPU's attention kernel nor an addmm in place. Attention is therefore counted on its plain
    path, of which every query sees every key, for all models alike.
    """
    known = {torch.ops.aten.addmm_: _addmm}
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False, custom_mapping=known) as counter:
        work()
    return int(counter.get_total_flops())


def _addmm(_: Sequence[int], first: Sequence[int], second: Sequence[int], **__: object) -> int:
    """Of first (N, K) @ second (K, M), by their shapes."""
    return 2 * first[0] * first[1] * second[1]


def training_flops(model: nn.Module, task: Task, batch: Batch) -> float:
    """Of the forward and backward pass, per token of `batch`, padding included."""

    def step() -> None:
        task.loss(model, batch)[0].backward()

    counted = float(flops(step) / batch.tokens.numel())
    model.zero_grad()
    return counted


def parameters(model: nn.Module) -> int:
    """Each once, tied ones too."""
    return sum(parameter.numel() for parameter in model.parameters())


def equal_parameters(config: ModelConfig, wanted: int) -> ModelConfig:
    """The plain transformer of `config`'s width that has the number of parameters `wanted`, by depth first."""
    return _deepen(config, wanted, lambda tried: parameters(PlainModel(tried)))


def equal_flops(config: ModelConfig, wanted: float, batch: Batch) -> ModelConfig:
    """The plain transformer that takes the operations `wanted` to train on a token.

    It grows in width and depth together, as scaled transformers do: the width is the multiple of a head's size at which a
    depth in proportion to it comes nearest, and the feed-forward evens out the rest.
    """

    def measure(tried: ModelConfig) -> float:
        return training_flops(PlainModel(tried), NextToken(), batch)

    width, head = config.width, config.width // config.heads
    while measure(_widened(config, width + head)) <= wanted:
        width += head
    return _deepen(_widened(config, width), wanted, measure)


def _widened(config: ModelConfig, width: int) -> ModelConfig:
    """`config` with another width, and the rest in proportion."""
    feed_forward = round(config.feed_forward * width / config.width / FEED_FORWARD_STEP) * FEED_FORWARD_STEP
    layers = round(config.layers * width / config.width)
    return replace(config, width=width, heads=width // (config.width // config.heads), layers=layers, feed_forward=feed_forward)


def _deepen(config: ModelConfig, wanted: float, measure: Callable[[ModelConfig], float]) -> ModelConfig:
    """`config` with the number of layers, then the feed-forward, that bring `measure` nearest to `wanted`.

    Both act linearly: two measurements give the slope.
    """

    def nearest(name: str, step: int) -> ModelConfig:
        value = getattr(config, name)
        low = measure(config)
        slope = measure(replace(config, **{name: value + step})) - low
        return replace(config, **{name: max(step, value + step * round((wanted - low) / slope))})

    config = nearest("layers", 1)
    return nearest("feed_forward", FEED_FORWARD_STEP)
