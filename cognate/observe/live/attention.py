"""What the trace says of softmaxes and saturating functions: how sharp their rows are, and what masked places still get.

A mask is worth what the softmax leaves at the places that it covers. The masks that a window makes (a fill, an added bias of
two levels, a product with zeros and ones) are remembered by the tensor that carries them, until a softmax takes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cognate.observe.live import facts

# Rows of a softmax, and elements of a mask, that are looked at.
MOST_ROWS = 2048
MOST_MASK = 1_000_000
# Queries and heads of a fused attention whose scores are computed again.
MOST_QUERIES = 128
MOST_HEADS = 2
# Rows with fewer open places have no choice: their sharpness says nothing.
CHOICES = 4
FILLS = ("masked_fill", "masked_fill_", "__setitem__", "where")
SUMS = ("add", "__add__", "__radd__", "add_", "__iadd__")
DIFFERENCES = ("sub", "__sub__", "sub_", "__isub__")
PRODUCTS = ("mul", "__mul__", "__rmul__", "mul_", "__imul__")
SOFTMAXES = ("softmax", "scaled_dot_product_attention", "multi_head_attention_forward")
# Operations that keep places where they are.
CARRIERS = {*FILLS, *SUMS, *DIFFERENCES, *PRODUCTS, "div", "__truediv__", "div_", "float", "to", "type_as", "clone", "contiguous"}
LAYERS = ("linear", "conv1d", "conv2d", "conv3d", "matmul", "__matmul__", "relu", "gelu", "silu", "tanh", "sigmoid")
# Beyond these outputs the slope is below 1e-4: |x| > 5 for tanh (DeepDiagnosis' bound), |x| > 9 for sigmoid.
PINNED = 1e-4


@dataclass
class Mask:
    """Places that scores were told to leave out, and what they were filled with or moved by."""

    covered: Tensor
    value: float
    how: str
    at: int  # the operation that applied it


class Attention:
    """Follows the masks of one traced window."""

    def __init__(self) -> None:
        self.masks: dict[int, list[Mask]] = {}

    def look(self, node: dict[str, Any], name: str, args: Any, kwargs: dict[str, Any], out: Tensor) -> None:
        """Add to `node` what its operation shows: `soft` of a softmax, `pinned` of a tanh or sigmoid, `std` of a layer."""
        if not out.is_floating_point() or not facts.readable(out) or out.numel() == 0:
            return
        if name in LAYERS and out.dim() >= 2 and (node.get("p") or name not in ("matmul", "__matmul__")):
            values = facts.sample(out, 4096).float()
            node["std"] = float(values.std()) if values.numel() > 1 else 0.0
            if name in ("tanh", "sigmoid"):
                edge = 1 - values.abs() if name == "tanh" else torch.minimum(values, 1 - values)
                node["pinned"] = round(float((edge < PINNED).float().mean()), 5)
        if name in SOFTMAXES:
            self._softmax(node, name, args, kwargs, out)
        elif name in CARRIERS and out.dim() >= 2 and out.numel() <= MOST_MASK:
            self._carry(name, args, out, node["i"])
        else:
            self.masks.pop(id(out), None)

    def _carry(self, name: str, args: Any, out: Tensor, at: int) -> None:
        given = [a for a in args if isinstance(a, Tensor)]
        kept = [m for t in given if t.shape == out.shape for m in self.masks.get(id(t), ())]
        kept += [mask for mask in (_made(name, args, out, at),) if mask is not None]
        self.masks.pop(id(out), None)
        if kept:
            self.masks[id(out)] = kept[-4:]

    def _softmax(self, node: dict[str, Any], name: str, args: Any, kwargs: dict[str, Any], out: Tensor) -> None:
        if name == "softmax":
            scores = args[0] if args else kwargs.get("input")
            dim = args[1] if len(args) > 1 else kwargs.get("dim")
            if not isinstance(scores, Tensor) or dim not in (-1, scores.dim() - 1) or scores.dim() < 2:
                return
            masks = self.masks.get(id(scores), [])
            scores = scores.detach()
        else:
            fused = fused_scores if name == "scaled_dot_product_attention" else multihead_scores
            found = fused(node["i"], args, kwargs)
            if found is None:
                return
            scores, masks = found
        if scores.shape[-1] >= 2:
            node["soft"] = sharpness(scores, masks)


def _made(name: str, args: Any, out: Tensor, at: int) -> Mask | None:
    """The mask that this operation applied to what it returned; None where it applied none, or one of minus infinity."""
    if name in FILLS:
        mask = _filled(name, args, at)
    elif name in (*SUMS, *DIFFERENCES, *PRODUCTS) and len(args) > 1:
        mask = _combined(name, args, at)
    else:
        return None
    if mask is None or not math.isfinite(mask.value) or mask.covered.numel() > MOST_MASK:
        return None
    return mask if _fits(mask.covered, out) and bool(mask.covered.any()) else None


def _fits(covered: Tensor, scores: Tensor) -> bool:
    pairs = zip(reversed(covered.shape), reversed(scores.shape), strict=False)
    return covered.dim() <= scores.dim() and all(a in (1, b) for a, b in pairs)


def _filled(name: str, args: Any, at: int) -> Mask | None:
    if len(args) < 3:
        return None
    if name == "where":
        condition, first, second = args[:3]
        if isinstance(condition, Tensor) and condition.is_floating_point():  # scores.where(condition, other)
            condition, first = first, condition
        if not isinstance(condition, Tensor) or condition.dtype is not torch.bool:
            return None
        for value, covered in ((_constant(second), ~condition), (_constant(first), condition)):
            if value is not None:
                return Mask(covered.detach(), value, "filled", at)
        return None
    covered, value = args[1], _constant(args[2])
    if isinstance(covered, Tensor) and covered.dtype is torch.bool and value is not None:
        return Mask(covered.detach(), value, "filled", at)
    return None


def _constant(value: Any) -> float | None:
    if isinstance(value, (int, float)):
        return float(value)
    if isinstance(value, Tensor) and value.numel() == 1 and not value.requires_grad:
        return float(value)
    return None


def _combined(name: str, args: Any, at: int) -> Mask | None:
    """A term of two levels, zero and below, or a factor of zeros and ones."""
    pair = [a for a in args[:2] if isinstance(a, Tensor)]
    if len(pair) < 2 or not any(t.requires_grad for t in pair):
        return None
    term = pair[1] if pair[0].requires_grad else pair[0]
    if term.requires_grad or term.dim() < 2 or term.numel() > MOST_MASK or not facts.readable(term) or term.numel() == 0:
        return None
    values = term.detach()
    if name in PRODUCTS:
        covered = values == 0
        two = bool((covered | (values == 1)).all())
        return Mask(covered, 0.0, "multiplied", at) if two else None
    if values.dtype is torch.bool:
        return None
    return two_levels(-values if name in DIFFERENCES else values, at)


def two_levels(bias: Tensor, at: int) -> Mask | None:
    """A bias that is 0 where it lets through and one and the same number below 0 elsewhere; a slope or a table is no mask."""
    lowest = float(bias.min())
    covered = bias == lowest
    if lowest < 0 and bool((covered | (bias == 0)).all()):
        return Mask(covered, lowest, "added", at)
    return None


Scores = tuple[Tensor, list[Mask]]


@torch.no_grad()
def fused_scores(at: int, args: Any, kwargs: dict[str, Any]) -> Scores | None:
    """Scores of a few heads and queries of a fused attention, masked as it masks them, and its finite mask."""
    named = dict(zip(("query", "key", "value", "attn_mask", "dropout_p", "is_causal", "scale"), args, strict=False)) | kwargs
    query, key = named["query"].detach(), named["key"].detach()
    if query.dim() < 3 or query.shape[:-2] != key.shape[:-2]:
        return None
    scale = named.get("scale") or 1.0 / math.sqrt(query.shape[-1])
    return _scores(at, query, key, scale, named.get("attn_mask"), bool(named.get("is_causal")))


@torch.no_grad()
def multihead_scores(at: int, args: Any, kwargs: dict[str, Any]) -> Scores | None:
    """The same of torch's own multi-head attention, which projects (time, batch, features) by one matrix for all three."""
    order = ("query", "key", "value", "embed_dim_to_check", "num_heads", "in_proj_weight", "in_proj_bias")
    named = dict(zip(order, args, strict=False)) | kwargs
    query, key, weight, bias = (named.get(k) for k in ("query", "key", "in_proj_weight", "in_proj_bias"))
    if weight is None or query is None or key is None or query.dim() != 3 or query.shape[-1] != key.shape[-1]:
        return None
    heads, width = named["num_heads"], query.shape[-1]
    parts = []
    for index, given in enumerate((query, key)):
        part = slice(index * width, (index + 1) * width)
        # All of a batch would be the layer's own work once more.
        few = facts.wide(given.detach()[:, :MOST_HEADS]) @ facts.wide(weight.detach()[part]).T
        few = few if bias is None else few + facts.wide(bias.detach()[part])
        parts.append(few.unflatten(-1, (heads, -1)).permute(1, 2, 0, 3))
    mask, padded = named.get("attn_mask"), named.get("key_padding_mask")
    if mask is not None:
        mask = ~mask if mask.dtype is torch.bool else mask  # true means masked here, and open in the fused attention
        mask = mask.unflatten(0, (-1, heads))[:MOST_HEADS] if mask.dim() == 3 else mask
    found = _scores(at, parts[0], parts[1], 1.0 / math.sqrt(width // heads), mask, False)
    if padded is not None and padded.dtype is torch.bool:
        found = (found[0].masked_fill(padded[:MOST_HEADS, None, None, :], -math.inf), found[1])
    return found


def _scores(at: int, query: Tensor, key: Tensor, scale: float, mask: Tensor | None, causal: bool) -> Scores:
    length = query.shape[-2]
    places = torch.arange(max(0, length - MOST_QUERIES), length, device=query.device)
    query, key = _few(query), _few(key)
    scores = facts.wide(query[..., places, :]) @ facts.wide(key).transpose(-1, -2) * scale
    masks: list[Mask] = []
    if causal:
        later = torch.arange(key.shape[-2], device=key.device)[None] > places[:, None]
        scores = scores.masked_fill(later, -math.inf)
    if isinstance(mask, Tensor):
        learned, mask = mask.requires_grad, mask.detach()[(None,) * (query.dim() - mask.dim())]
        mask = _few(mask.expand(*mask.shape[:-2], length, key.shape[-2])[..., places, :])
        if mask.dtype is torch.bool:
            scores = scores.masked_fill(~mask, -math.inf)
        else:
            made = None if learned else two_levels(mask, at)
            scores = scores + mask
            masks = [made] if made and math.isfinite(made.value) else []
    return scores, masks


def _few(tensor: Tensor) -> Tensor:
    """The first samples and heads."""
    for dim in range(tensor.dim() - 2):
        tensor = tensor.narrow(dim, 0, min(MOST_HEADS, tensor.shape[dim]))
    return tensor


@torch.no_grad()
def sharpness(scores: Tensor, masks: list[Mask]) -> dict[str, Any]:
    """How a softmax over the last dimension of `scores` spreads, and the most that a row leaves at places masked by a number.

    `top` is the mean of the rows' largest probability, `entropy` the mean entropy as a share of the uniform one, `most` the
    largest score in magnitude, `rows` how many rows with at least four open places these are of.
    """
    width = scores.shape[-1]
    spread = range(0, scores.numel() // width, max(1, -(-(scores.numel() // width) // MOST_ROWS)))
    rows = scores.reshape(-1, width)[spread.start : spread.stop : spread.step].float()
    # Places that tie for the lowest score were masked, in a way that was not followed.
    lowest = rows == rows.amin(-1, keepdim=True)
    open_ = rows.isfinite() & ~(lowest & (lowest.sum(-1, keepdim=True) > 1))
    result: dict[str, Any] = {}
    share = torch.softmax(rows, -1)
    for mask in masks:
        if not _fits(mask.covered, scores):
            continue
        covered = torch.broadcast_to(mask.covered, scores.shape).reshape(-1, width)[spread.start : spread.stop : spread.step]
        some = covered.any(-1) & (~covered & open_).any(-1)
        if bool(some.any()):
            left = (share * covered).sum(-1)[some]
            found = {
                "value": mask.value,
                "how": mask.how,
                "left": float(left.max()),
                "left_mean": float(left.mean()),
                "at": mask.at,
            }
            if found["left"] >= result.get("masked", {}).get("left", -1.0):
                result["masked"] = found
        open_ = open_ & ~covered
    choice = open_.sum(-1) >= CHOICES
    if bool(choice.any()):
        rows, open_ = rows[choice], open_[choice]
        share = torch.softmax(rows.masked_fill(~open_, -math.inf), -1)
        entropy = torch.special.entr(share).sum(-1) / open_.sum(-1).float().log()
        most = rows.masked_fill(~open_, 0.0).abs().max()
        result |= {"top": float(share.amax(-1).mean()), "entropy": float(entropy.mean()), "most": float(most)}
    result["rows"] = int(choice.sum())
    return result
