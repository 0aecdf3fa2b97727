"""The sequence that a model is to continue: which input the targets are, shifted in time, and how to change its future."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cognate.observe.probes.replay import WITHOUT_BEGINNING, NotRun, Replay

# A target row must equal the input shifted by one in at least this share of positions for the task to be next-token
# prediction on its own input; packed or masked rows leave a little out.
NEXT_TOKEN_SHARE = 0.8
# Series that are equal to themselves without a shift (constant, or of two values) don't tell how far ahead the targets lie.
UNSHIFTED_SHARE = 0.5
# A warm-up that is not scored moves the targets along by its length.
FURTHEST = 64
# Columns of a series of vectors that one target column is looked for in.
MOST_COLUMNS = 16


@dataclass
class Tokens:
    """Rows of token ids, (batch, time), that the targets are a shift of."""

    MODES: ClassVar = ("eval", "train")
    tensor: Tensor
    offset: int
    reach: int = 1  # the prediction at t must not depend on what stands at t + reach

    @property
    def time(self) -> int:
        """How many positions a row has."""
        return self.tensor.shape[1]

    @property
    def judged(self) -> int:
        """How many predictions have their answer among the inputs."""
        return self.time - 1

    def replaced(self, x: Tensor, t: int) -> Tensor:
        """`x` with the tokens after t replaced, if `x` is the token input; any other input as it is."""
        tokens = self.tensor
        if x.shape != tokens.shape or x.dtype != tokens.dtype or not torch.equal(x, tokens):
            return x
        pool = torch.unique(tokens)
        if pool.numel() > 1:
            position = torch.searchsorted(pool, x[:, t + 1 :].contiguous())
            x[:, t + 1 :] = pool[(position + 1) % pool.numel()]
        return x

    def by_position(self, scores: Tensor, target: Tensor) -> Tensor:
        """Scores as (batch, position, classes). Raises NotRun where they do not cover a sequence."""
        batch, time = self.tensor.shape
        if scores.dim() == 2 and scores.shape[0] % batch == 0 and scores.shape[0] // batch in (time, time - 1):
            return scores.reshape(batch, -1, scores.shape[-1])
        if scores.dim() == 3 and scores.shape[0] == batch and scores.shape[2] in (time, time - 1):
            return scores.transpose(1, 2)
        if scores.dim() == 3 and scores.shape[0] == batch and scores.shape[1] in (time, time - 1):
            return scores
        raise NotRun(f"scores of shape {tuple(scores.shape)} do not cover a batch of {batch} sequences of {time} tokens")

    def scored(self, target: Tensor, ignore: int, length: int) -> Tensor:
        """Which positions count in the loss, (batch, length)."""
        return target.reshape(self.tensor.shape[0], -1)[:, :length] != ignore


@dataclass
class Values:
    """A series of numbers, (batch, time, …) or (batch, channels, time), that the targets are a shift of."""

    MODES: ClassVar = ("eval",)  # in training the statistics of batch normalisation tie all positions together
    tensor: Tensor
    offset: int
    axis: int  # of time, in the input
    target_axis: int  # of time, in the target
    length: int  # of the target

    @property
    def time(self) -> int:
        """How many positions a series has."""
        return self.tensor.shape[self.axis]

    @property
    def judged(self) -> int:
        """How many forecasts have their answer among the inputs."""
        return min(self.length, self.time - self.offset)

    @property
    def reach(self) -> int:
        """The forecast at t must not depend on what it is to forecast."""
        return self.offset

    def replaced(self, x: Tensor, t: int) -> Tensor:
        """`x` with the numbers from the one on that is forecast at t taken from other rows, if `x` is the series."""
        if x.shape == self.tensor.shape and x.dtype == self.tensor.dtype and torch.equal(x, self.tensor):
            begin = t + self.reach
            future = x.narrow(self.axis, begin, x.shape[self.axis] - begin)
            future.copy_(future.roll(1, 0) + 0.5 * x.std().nan_to_num(1.0))
        return x

    def by_position(self, scores: Tensor, target: Tensor) -> Tensor:
        """Forecasts as (batch, position, columns). Raises NotRun where they are laid out in another way than the targets."""
        if scores.numel() != target.numel():
            raise NotRun(f"forecasts of shape {tuple(scores.shape)} do not lie over targets of shape {tuple(target.shape)}")
        return _by_time(scores.reshape(target.shape), self.target_axis)

    def scored(self, target: Tensor, ignore: int, length: int) -> Tensor:
        """Every position of a series counts, (batch, length)."""
        return torch.ones(self.tensor.shape[0], length, dtype=torch.bool, device=target.device)


def sequence_of(replay: Replay) -> Tokens | Values:
    """The input that the targets are a shift of, and by how much; NotRun for any other task."""
    if replay.loss is None:
        raise NotRun("no torch.nn.functional loss was computed from the model's output")
    return _values(replay) if replay.loss.target.is_floating_point() else _tokens(replay)


def _tokens(replay: Replay) -> Tokens:
    assert replay.loss is not None
    if replay.view_name == WITHOUT_BEGINNING:
        raise NotRun("the first scores of each row are left out, so at which token a score stands is not certain")
    offsets = replay.loss.row.get("target", {}).get("offsets", {})
    candidates = [t for t in replay.snapshot.inputs if not t.is_floating_point()]
    if not offsets:
        raise NotRun("the targets are not laid over a sequence of input tokens, so there is no future to leak")
    best: tuple[float, int, int] = (0.0, 0, 0)
    for index, shares in offsets.items():
        for offset in (1, 2, 3, 0):
            share = shares.get(str(offset), 0.0)
            if share > best[0] and int(index) < len(candidates):
                best = (share, int(index), offset)
    share, index, offset = best
    if share < NEXT_TOKEN_SHARE:
        raise NotRun("the targets are not the input shifted in time, so no position is known to be the future")
    # A language model that forgot to shift has its own input for targets, in every place: it is asked, because whether it is
    # causal tells it from an autoencoder. Where places differ they were masked or corrupted, to be told from both sides.
    if offset == 0 and share < 1.0:
        raise NotRun("the targets are the input itself, so no position is known to be the future")
    return Tokens(candidates[index], offset)


def _values(replay: Replay) -> Values:
    assert replay.loss is not None
    target = replay.loss.target.detach()
    for series in (t for t in replay.snapshot.inputs if t.is_floating_point() and t.dim() in (2, 3)):
        for axis in range(1, series.dim()):
            for target_axis in range(1, min(target.dim(), 3)):
                offset = _shift(_by_time(series, axis), _by_time(target, target_axis))
                if offset:
                    return Values(series, offset, axis, target_axis, target.shape[target_axis])
    raise NotRun("the targets are no input of the model shifted in time, so no position is known to be the future")


def _by_time(tensor: Tensor, axis: int) -> Tensor:
    """(batch, time, columns) of a tensor whose time runs along `axis`."""
    tensor = tensor.unsqueeze(-1) if tensor.dim() == 2 else tensor
    return tensor.movedim(axis, 1).flatten(2)


def _shift(series: Tensor, target: Tensor) -> int:
    """By how many positions `target` runs ahead of `series`, both (batch, time, columns); 0 where it is no shift of it."""
    if series.shape[0] != target.shape[0] or series.shape[1] < 4 or target.shape[1] > series.shape[1] or target.shape[1] < 3:
        return 0
    width = target.shape[2]
    if width == series.shape[2]:
        views = [series]
    elif width == 1:
        views = [series[:, :, column : column + 1] for column in range(min(series.shape[2], MOST_COLUMNS))]
    else:
        return 0
    for view in views:
        shares = [_agreement(view, target, offset) for offset in range(min(FURTHEST, view.shape[1] - 2) + 1)]
        best = max(range(1, len(shares)), key=shares.__getitem__)
        if shares[best] >= NEXT_TOKEN_SHARE and shares[0] < UNSHIFTED_SHARE:
            return best
    return 0


def _agreement(series: Tensor, target: Tensor, offset: int) -> float:
    reach = min(target.shape[1], series.shape[1] - offset)
    if reach < 2:
        return 0.0
    return float((series[:, offset : offset + reach] == target[:, :reach]).float().mean())
