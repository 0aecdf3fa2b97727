"""Do padded positions influence the real ones? The same batch with more padding must give the same outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cognate.observe.live.facts import tensors_in
from cognate.observe.probes.replay import NotRun, Replay

EXTRA = 3


def padding_influence(replay: Replay) -> dict[str, Any]:
    """Appended three more padding tokens to every row, in evaluation mode, and compared the outputs at the real tokens."""
    tokens, pad, lengths = _padded(replay)
    batch, time = tokens.shape
    model = replay.copy()
    with torch.no_grad():
        args, kwargs = replay.inputs()
        base = tensors_in(replay.forward(model, args, kwargs, False))
        longer_args, longer_kwargs = replay.inputs(lambda x: _extended(x, batch, time))
        try:
            other = tensors_in(replay.forward(replay.copy(), longer_args, longer_kwargs, False))
        except (RuntimeError, IndexError, ValueError) as error:
            raise NotRun(f"the model does not take longer rows ({type(error).__name__})") from error
    moved, scale = _distance(base, other, batch, time, lengths)
    if moved is None:
        raise NotRun("no output of the model belongs to a row or to its real tokens")
    return {"moved": moved, "scale": scale, "pad": pad, "padded_share": float(1 - lengths.float().mean() / time)}


def _padded(replay: Replay) -> tuple[Tensor, int, Tensor]:
    """The token input that ends in padding, the padding id, and the real length of each row."""
    for tokens in replay.snapshot.inputs:
        if tokens.dim() != 2 or tokens.is_floating_point() or tokens.dtype is torch.bool or tokens.shape[1] < 4:
            continue
        if int(tokens.max()) <= 1:  # a mask
            continue
        pad = int(tokens[:, -1].mode().values)
        runs = (tokens.flip(1) == pad).long().cumprod(1).sum(1)
        if int((runs >= 2).sum()) >= 0.25 * len(runs) and len(set(runs.tolist()) - {0}) >= 2:
            return tokens, pad, tokens.shape[1] - runs
    raise NotRun("no batch of padded token rows was given to the model")


def _extended(x: Tensor, batch: int, time: int) -> Tensor:
    """`x` with its last column repeated, if it runs along the tokens; padding and masks end in what padding looks like."""
    if x.dim() == 2 and x.shape == (batch, time):
        last = x.min(1, keepdim=True).values if x.dtype is torch.bool else x[:, -1:]
        # The row without padding says nothing about padding: its last column would be a token, so the batch's padding is used.
        if x.dtype is not torch.bool:
            value = x[:, -1].mode().values
            last = value.expand(batch, 1)
        return torch.cat([x, last.expand(batch, EXTRA).to(x.dtype)], 1)
    return x


def _distance(base: list[Tensor], other: list[Tensor], batch: int, time: int, lengths: Tensor) -> tuple[float | None, float]:
    worst: float | None = None
    scale = 0.0
    real = torch.arange(time, device=lengths.device)[None] < lengths[:, None]
    for a, b in zip(base, other, strict=False):
        if not a.is_floating_point() or a.dim() == 0 or a.shape[0] != batch:
            continue
        if a.dim() >= 2 and a.shape[1] == time and b.shape[1] == time + EXTRA:
            a, b = a[real], b[:, :time][real]
        if a.shape != b.shape or a.numel() == 0:
            continue
        worst = max(worst or 0.0, float((a - b).abs().max()))
        scale = max(scale, float(a.float().std()))
    return worst, scale
