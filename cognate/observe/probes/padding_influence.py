"""Do padded positions influence the real ones? The same batch with more padding must give the same outputs."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.live.facts import tensors_in
from cognate.observe.probes.replay import NotRun, Replay

EXTRA = 3


def padding_influence(replay: Replay) -> dict[str, Any]:
    """Appended three more padding tokens to every row, in evaluation mode, and compared the outputs at the real tokens."""
    tokens, pad, lengths = _padded(replay)
    batch, time = tokens.shape[:2]
    model = replay.copy()
    with torch.no_grad():
        args, kwargs = replay.inputs()
        base = tensors_in(replay.forward(model, args, kwargs, False))
        longer_args, longer_kwargs = replay.inputs(lambda x: _extended(x, tokens, pad, lengths))
        try:
            other = tensors_in(replay.forward(replay.copy(), longer_args, longer_kwargs, False))
        except (RuntimeError, IndexError, ValueError) as error:
            raise NotRun(f"the model does not take longer rows ({type(error).__name__})") from error
    moved, scale = _distance(base, other, batch, time, lengths)
    if moved is None:
        raise NotRun("no output of the model belongs to a row or to its real tokens")
    return {"moved": moved, "scale": scale, "pad": pad, "padded_share": float(1 - lengths.float().mean() / time)}


def _padded(replay: Replay) -> tuple[Tensor, int, Tensor]:
    """The padded input (tokens, or vectors that end in zeros), the padding id, and the real length of each row.

    The id is the embedding's `padding_idx`; without one, it shows as rows that end in runs of one id, of different lengths.
    """
    known = [m.padding_idx for m in replay.snapshot.module.modules() if isinstance(m, nn.Embedding) and m.padding_idx is not None]
    for tokens in replay.snapshot.inputs:
        if tokens.dim() not in (2, 3) or tokens.dtype is torch.bool or tokens.shape[1] < 4:
            continue
        if tokens.dim() == 2 and (tokens.is_floating_point() or int(tokens.max()) <= 1):  # a mask, or a row of features
            continue
        # Sequences of vectors are padded with zeros.
        pad = 0 if tokens.dim() == 3 else known[0] if known else int(tokens[:, -1].mode().values)
        padded = tokens == pad if tokens.dim() == 2 else (tokens == 0).all(-1)
        runs = padded.flip(1).long().cumprod(1).sum(1)
        shown = int((runs >= 2).sum()) >= 0.25 * len(runs) and len(set(runs.tolist()) - {0}) >= 2
        if shown or (known and tokens.dim() == 2):
            return tokens, pad, tokens.shape[1] - runs
    raise NotRun("no batch of padded rows was given to the model, and no embedding has a padding_idx")


def _extended(x: Tensor, tokens: Tensor, pad: int, lengths: Tensor) -> Tensor:
    """`x` with three more padded columns, if it runs along the tokens; masks get what they hold at a padded place."""
    batch, time = tokens.shape[:2]
    if x.shape == tokens.shape and tokens.dim() == 3:
        return torch.cat([x, x.new_zeros(batch, EXTRA, x.shape[2])], 1)
    if x.dim() != 2 or x.shape[:2] != (batch, time):
        return x
    value = pad
    if not torch.equal(x, tokens):
        padded = (lengths < time).nonzero().flatten()
        if padded.numel() == 0:
            raise NotRun("the batch holds no padding, so what the mask looks like there is not known")
        value = x[int(padded[0]), time - 1].item()
    return torch.cat([x, torch.full((batch, EXTRA), value, dtype=x.dtype, device=x.device)], 1)


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
