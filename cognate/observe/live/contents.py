"""What a saved or loaded object holds, told by its shape: weights, optimizer state, schedule, loss scaler, random states."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

# Entries that are named; a checkpoint of a training run has a dozen.
MOST_ENTRIES = 40
MOST_WEIGHTS = 400


def holds(value: Any) -> tuple[dict[str, str], dict[str, float]]:
    """The kind of each entry of `value` by dotted path ("" for itself), and the plain numbers among them."""
    kinds: dict[str, str] = {}
    numbers: dict[str, float] = {}
    for path, item in _entries(value, "", 2):
        if len(kinds) >= MOST_ENTRIES:
            break
        kinds[path] = kind_of(item)
        if isinstance(item, (int, float)) and not isinstance(item, bool):
            numbers[path] = float(item)
    return kinds, numbers


def kind_of(value: Any) -> str:
    """One word for what `value` is to a training run."""
    if isinstance(value, nn.Module):
        return "module"
    if isinstance(value, Mapping):
        return _kind_of_mapping(value)
    if isinstance(value, Tensor):
        return "rng" if value.dtype is torch.uint8 and value.dim() == 1 and value.numel() >= 16 else "tensor"
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, int):
        return "integer"
    if isinstance(value, float):
        return "number"
    if isinstance(value, tuple) and len(value) >= 3 and (value[0] == "MT19937" or isinstance(value[1], tuple)):
        return "rng"  # what numpy.random.get_state() and random.getstate() return
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Mapping):
        return kind_of(value[0])
    return type(value).__name__


def _kind_of_mapping(value: Mapping[Any, Any]) -> str:
    keys = {key for key in value if isinstance(key, str)}
    if {"state", "param_groups"} <= keys:
        return "optimizer"
    if {"scale", "growth_factor"} <= keys:
        return "scaler"
    if "last_epoch" in keys or {"num_bad_epochs", "patience"} <= keys:
        return "scheduler"
    tensors = sum(isinstance(item, Tensor) for item in value.values())
    return "weights" if tensors and tensors >= 0.8 * len(value) else "mapping"


def _entries(value: Any, path: str, depth: int) -> Iterator[tuple[str, Any]]:
    kind = kind_of(value)
    if kind == "mapping" and depth:
        for key, item in list(value.items())[:MOST_ENTRIES]:
            yield from _entries(item, f"{path}.{key}" if path else str(key), depth - 1)
    elif kind != "mapping":
        yield path, value


def weights_in(value: Any) -> list[tuple[str, Tensor]]:
    """The named tensors of every set of weights in `value`, the first ones of a large one."""
    found: list[tuple[str, Tensor]] = []
    for _, item in _entries(value, "", 2):
        if kind_of(item) == "weights":
            found.extend((str(name), tensor) for name, tensor in item.items() if isinstance(tensor, Tensor))
    return found[:MOST_WEIGHTS]
