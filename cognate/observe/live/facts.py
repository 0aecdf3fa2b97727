"""Facts about tensors, small enough to write down: shapes, ranges, what kind of numbers the rows are, fingerprints."""

from __future__ import annotations

import zlib
from array import array
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

# Rows that are looked at on a close window: enough for every share that a rule decides by, cheap on any model.
MOST_ROW = 65_536  # elements of one sample, beyond which its own statistics are not taken
MOST_ROWS = 2048
MOST_NUMBERS = 65_536


def tensors_in(value: Any, depth: int = 3) -> list[Tensor]:
    """Tensors in `value`: itself, or in tuples, lists, dicts and dataclass-like outputs, in order."""
    if isinstance(value, Tensor):
        return [value]
    if depth and isinstance(value, dict):
        return [t for item in value.values() for t in tensors_in(item, depth - 1)]
    if depth and isinstance(value, (list, tuple)):
        return [t for item in value for t in tensors_in(item, depth - 1)]
    return []


def readable(tensor: Tensor) -> bool:
    """Whether `tensor` holds numbers that can be looked at: not lazy, meta, sparse, nested or quantized."""
    if is_lazy(tensor) or tensor.is_nested or tensor.is_quantized:
        return False
    return tensor.layout is torch.strided and tensor.device.type != "meta"


def numel(tensor: Tensor) -> int:
    """The number of elements; 0 for a parameter whose shape is not known yet."""
    return 0 if is_lazy(tensor) else tensor.numel()


def wide(tensor: Tensor) -> Tensor:
    """`tensor` in double precision, or in the widest that its device knows."""
    return tensor.float() if tensor.device.type == "mps" else tensor.double()


def sample(tensor: Tensor, most: int = MOST_NUMBERS) -> Tensor:
    """At most `most` elements of `tensor`, evenly spaced, flat, detached."""
    flat = tensor.detach().reshape(-1)
    stride = max(1, -(-flat.numel() // most))
    return flat[::stride]


def describe(tensor: Tensor) -> dict[str, Any]:
    """Shape, dtype and, for numbers, range and moments (of a sample where the tensor is large)."""
    facts: dict[str, Any] = {"shape": shape(tensor), "dtype": str(tensor.dtype).removeprefix("torch.")}
    if not readable(tensor) or tensor.numel() == 0 or tensor.is_complex():
        return facts
    values = sample(tensor)
    if not tensor.is_floating_point():
        facts.update(min=int(values.min()), max=int(values.max()))
        return facts
    values = values.float()
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        facts["nonfinite"] = round(1.0 - float(finite.float().mean()), 6)
        values = values[finite]
        if values.numel() == 0:
            return facts
    facts.update(min=float(values.min()), max=float(values.max()), mean=float(values.mean()))
    facts["std"] = float(values.std()) if values.numel() > 1 else 0.0
    return facts


def moments(tensor: Tensor, most: int = 16_384) -> dict[str, float]:
    """Mean, standard deviation and largest magnitude of a sample of `tensor`; empty where it holds no such numbers."""
    if not readable(tensor) or tensor.numel() == 0 or not tensor.is_floating_point():
        return {}
    values = sample(tensor, most).float()
    found = torch.stack([values.mean(), values.std(correction=0), values.abs().max()]).tolist()
    return {name: value for name, value in zip(("mean", "std", "most"), found, strict=True) if value - value == 0}


def between_rows(tensor: Tensor, most: int = 64) -> dict[str, float]:
    """How much the rows of a batch of numbers differ in mean (`row_means`) and in spread (`row_stds`), over the whole's spread.

    Rows that were each standardised by themselves don't differ at all.
    """
    if not readable(tensor) or tensor.dim() < 2 or tensor.shape[0] < 4 or tensor[0].numel() < 8 or tensor[0].numel() > MOST_ROW:
        return {}
    rows = tensor.detach()[:most].flatten(1).float()
    whole = rows.std()
    if not bool(whole > 0):
        return {}
    found = torch.stack([rows.mean(1).std() / whole, rows.std(1).std() / whole]).tolist()
    return {name: round(v, 6) for name, v in zip(("row_means", "row_stds"), found, strict=True) if v - v == 0}


def rows_kind(scores: Tensor, class_dim: int) -> str:
    """What the rows of `scores` along `class_dim` are: "probabilities", "log_probabilities" or "logits".

    Rows that are ≥ 0 and sum to 1 within 1e-3 are probabilities (the bound of class loss-softmax-twice of the fault taxonomy,
    docs/sources.md).
    """
    rows = scores.detach().movedim(class_dim, -1).reshape(-1, scores.shape[class_dim])[:MOST_ROWS].float()
    if rows.numel() == 0 or rows.shape[1] < 2:
        return "logits"
    if bool((rows >= 0).all()) and bool(((rows.sum(-1) - 1).abs() < 1e-3).all()):
        return "probabilities"
    if bool((rows <= 1e-6).all()) and bool((rows.logsumexp(-1).abs() < 1e-3).all()):
        return "log_probabilities"
    return "logits"


def histogram(labels: Tensor, most: int = 64) -> dict[str, Any]:
    """Counts of integer labels: the commonest ones, how many are distinct, and how sorted they came."""
    flat = labels.detach().reshape(-1)[: 4 * MOST_ROWS]
    values, counts = torch.unique(flat, return_counts=True)
    order = torch.argsort(counts, descending=True, stable=True)[:most]
    facts: dict[str, Any] = {
        "distinct": int(values.numel()),
        "total": int(flat.numel()),
        "counts": {str(int(v)): int(c) for v, c in zip(values[order], counts[order], strict=True)},
    }
    if flat.numel() > 1:
        facts["runs"] = 1 + int((flat[1:] != flat[:-1]).sum())
    return facts


def fingerprint(tensor: Tensor, most: int = 256) -> int:
    """A content hash of an evenly spaced sample of `tensor` and its shape; equal contents have equal fingerprints."""
    seed = zlib.crc32(str(tuple(shape(tensor))).encode())
    if tensor.layout is torch.sparse_coo:
        tensor = tensor.detach().coalesce().values()
    return zlib.crc32(_bytes(sample(tensor, most)), seed) if readable(tensor) else seed


def row_fingerprints(tensor: Tensor, most_rows: int = 512, most_columns: int = 64) -> list[int]:
    """A hash of each of the first rows of a batch (batch, …), over evenly spaced columns; equal samples have equal ones."""
    if not readable(tensor) or tensor.numel() == 0:
        return []
    rows = tensor.detach()[:most_rows]
    rows = rows.reshape(rows.shape[0], -1)
    stride = max(1, -(-rows.shape[1] // most_columns))
    rows = torch.view_as_real(rows).flatten(1) if rows.is_complex() else rows
    return [zlib.crc32(array("d", row).tobytes()) for row in rows[:, ::stride].cpu().double().tolist()]


def shape(tensor: Tensor) -> list[int]:
    """The shape; empty where it is not known yet (a lazy parameter) or not one (a nested tensor)."""
    return [] if is_lazy(tensor) or tensor.is_nested else list(tensor.shape)


def _bytes(values: Tensor) -> bytes:
    # Not through numpy: the user's environment may hold torch without it. Not all devices know double precision.
    values = torch.view_as_real(values).reshape(-1) if values.is_complex() else values
    return array("d", values.cpu().double().tolist()).tobytes()


def same_values(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same numbers in the same order, whatever their shapes."""
    return a.numel() == b.numel() and bool((a.detach().reshape(-1) == b.detach().reshape(-1)).all())
