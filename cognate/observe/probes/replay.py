"""Replaying a training forward and its loss on a copy of the model, without knowing the user's loop.

A loss that the model computes inside its forward is caught when the forward is run again. A loss computed outside takes a
view of the model's output (flattened, shifted, transposed, last step…): the view is found by comparing values once, and
applied to the outputs of later forwards.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.live.facts import tensors_in
from cognate.observe.live.losses import KeptLoss, Losses

# The view of an output whose first positions, along one dimension, the loss leaves out.
WITHOUT_BEGINNING = "without the beginning"


class NotRun(Exception):
    """The experiment cannot be made here; the message says why."""


@dataclass
class Snapshot:
    """One training forward: the module, what it was given (cloned), what it returned."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    output: Any
    seed: int = 0
    autocast: tuple[str, torch.dtype] | None = None  # device type and number type of the autocast that was on

    @property
    def inputs(self) -> list[Tensor]:
        """The tensors that the forward was given."""
        return tensors_in((self.args, self.kwargs))


@dataclass
class Replay:
    """A snapshot joined with the loss that judged its output."""

    snapshot: Snapshot
    losses: Losses
    loss: KeptLoss | None
    view: Callable[[Any], Tensor] | None = None
    view_name: str = ""
    optimizer: torch.optim.Optimizer | None = None  # the one that ended the window
    clip: tuple[float, bool] | None = None  # its limit, and whether it limits each element
    evaluated: Any = None  # how the latest evaluation called the module, where there was one

    def copy(self) -> nn.Module:
        """A deep copy of the model as it is now. Raises NotRun where it cannot be copied, or would act on the script."""
        owner = _hooked(self.snapshot.module)
        if owner is not None:
            raise NotRun(f"{owner} carries a hook of the script's own, which an experiment would set off")
        try:
            return copy.deepcopy(self.snapshot.module, _detached(self.snapshot.module))
        except Exception as error:
            raise NotRun(f"the model cannot be copied ({type(error).__name__}: {error})") from error

    def inputs(self, change: Callable[[Tensor], Tensor] | None = None) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The forward's arguments, cloned, each tensor passed through `change`."""
        return (
            map_tensors(self.snapshot.args, lambda t: change(t.clone()) if change else t.clone()),
            map_tensors(self.snapshot.kwargs, lambda t: change(t.clone()) if change else t.clone()),
        )

    def forward(self, module: nn.Module, args: Any, kwargs: Any, training: bool, seed: int = 0) -> Any:
        """Run `module` in the given mode from a fixed seed, so that two runs differ only in what was changed."""
        set_mode(module, self.snapshot.module, training)
        torch.manual_seed(seed)
        return module(*args, **kwargs)

    def scores(self, module: nn.Module, args: Any, kwargs: Any, training: bool) -> Tensor:
        """The loss function's first argument for these inputs. Raises NotRun where the loss cannot be followed."""
        if self.loss is None:
            raise NotRun("no torch.nn.functional loss was computed from the model's output")
        if self.loss.row.get("in_forward"):
            self.losses.capture = []
            try:
                self.forward(module, args, kwargs, training)
                calls = [call for call in self.losses.capture if call[0] == self.loss.name]
            finally:
                self.losses.capture = None
            if not calls:
                raise NotRun(f"the model's forward did not compute {self.loss.name} again")
            given = calls[-1][1]
            return given[0] if given else calls[-1][2]["input"]
        if self.view is None:
            raise NotRun("how the loss follows from the model's output could not be recognised")
        return self.view(self.forward(module, args, kwargs, training))

    def value(self, scores: Tensor, target: Tensor | None = None) -> Tensor:
        """The main loss for `scores`, as the script computes it, reduced to a mean."""
        assert self.loss is not None
        function = getattr(torch.nn.functional, self.loss.name)
        options = dict(self.loss.options)
        self.losses.capture = []
        try:
            result: Tensor = function(scores, self.loss.target if target is None else target, **options)
        finally:
            self.losses.capture = None
        return result.mean()


def _hooked(model: nn.Module) -> str | None:
    """The class of the first module with a hook that torch (weight_norm, pruning, ...) did not make itself."""
    for module in model.modules():
        for name in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"):
            for hook in (getattr(module, name, None) or {}).values():
                made_in = getattr(hook, "__module__", None) or type(hook).__module__
                if not made_in.startswith("torch."):
                    return type(module).__name__
    return None


def _detached(model: nn.Module) -> dict[int, Any]:
    """A memo for deepcopy that holds a copy of what it refuses: results of a forward that `model` keeps on attributes."""
    kept = [t for module in model.modules() for t in tensors_in(dict(vars(module))) if not t.is_leaf]
    return {id(t): t.detach().clone() for t in kept}


def set_mode(module: nn.Module, like: nn.Module, training: bool) -> None:
    """Put `module` into evaluation, or into exactly the modes that `like` has (some parts may be frozen in eval)."""
    if not training:
        module.eval()
        return
    for ours, theirs in zip(module.modules(), like.modules(), strict=True):
        ours.training = theirs.training


@contextmanager
def state_kept(module: nn.Module) -> Iterator[None]:
    """What forwards leave on `module` (buffers, attributes) is put back, so that two of them differ in their input alone."""
    tables = [table for part in module.modules() for table in (vars(part), part._buffers)]
    attributes = [dict(table) for table in tables]
    contents = [(t, t.detach().clone()) for table in attributes for t in table.values() if isinstance(t, Tensor)]
    try:
        yield
    finally:
        for table, before in zip(tables, attributes, strict=True):
            table.clear()
            table.update(before)
        with torch.no_grad():
            for tensor, content in contents:
                tensor.copy_(content)


def map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`value` with every tensor in tuples, lists and dicts replaced by `change(tensor)`."""
    if isinstance(value, Tensor):
        return change(value.detach())
    if isinstance(value, dict):
        return {key: map_tensors(item, change) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(item, change) for item in value))
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(item, change) for item in value)
    return value


def _views(tensor: Tensor) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """The ways in which people hand an output to a loss, commonest first."""
    yield "as it is", lambda t: t
    yield "flattened", lambda t: t.reshape(-1)
    if tensor.dim() >= 2:
        yield "last dimension dropped", lambda t: t.squeeze(-1)
        yield "last column", lambda t: t[..., -1]
        yield "first column", lambda t: t[..., 0]
    if tensor.dim() >= 3:
        yield "rows flattened", lambda t: t.reshape(-1, t.shape[-1])
        yield "classes second", lambda t: t.transpose(1, 2)
        yield "shifted, rows flattened", lambda t: t[:, :-1].reshape(-1, t.shape[-1])
        yield "shifted, classes second", lambda t: t[:, :-1].transpose(1, 2)
        yield "shifted", lambda t: t[:, :-1]
        yield "last step", lambda t: t[:, -1]
        yield "first step", lambda t: t[:, 0]
        yield "mean over steps", lambda t: t.mean(1)
        yield "time and batch swapped, rows flattened", lambda t: t.transpose(0, 1).reshape(-1, t.shape[-1])
        yield "last step, time first", lambda t: t[-1]
        yield "first step dropped, rows flattened", lambda t: t[:, 1:].reshape(-1, t.shape[-1])


def _cuts(tensor: Tensor, scores: Tensor) -> Iterator[tuple[str, Callable[[Tensor], Tensor]]]:
    """The beginning or the end of one dimension left out: a warm-up that is not scored, or a horizon that alone is."""
    differing = [dim for dim in range(min(tensor.dim(), scores.dim())) if tensor.shape[dim] != scores.shape[dim]]
    if tensor.dim() == scores.dim() and len(differing) == 1:
        dim, length = differing[0], scores.shape[differing[0]]
        yield WITHOUT_BEGINNING, lambda t: t.narrow(dim, t.shape[dim] - length, length)
        yield "the beginning", lambda t: t.narrow(dim, 0, length)


def _item(index: int, view: Callable[[Tensor], Tensor], output: Any) -> Tensor:
    return view(tensors_in(output)[index])


def find_view(output: Any, scores: Tensor) -> tuple[str, Callable[[Any], Tensor]] | None:
    """How `scores` was made of one of the tensors in `output`, found by equal values; None where it was computed."""
    for index, tensor in enumerate(tensors_in(output)[:8]):
        if tensor.numel() < scores.numel() or tensor.device != scores.device:
            continue
        for name, view in (*_views(tensor), *_cuts(tensor, scores)):
            try:
                seen = view(tensor.detach())
            except (RuntimeError, IndexError):
                continue
            if seen.shape == scores.shape and bool(torch.equal(seen, scores.detach())):
                return name, functools.partial(_item, index, view)
    return None


def join(snapshots: list[Snapshot], losses: Losses) -> Replay | None:
    """Join the window's forwards with its weightiest loss; prefers the forward whose output the loss judged."""
    if not snapshots:
        return None
    kept = [k for k in losses.kept if k.row.get("coefficient") not in (None, 0.0)] or losses.kept
    kept = sorted(kept, key=lambda k: -abs((k.row.get("coefficient") or 0.0) * k.row.get("value", 0.0)))
    for loss in kept:
        if loss.row.get("in_forward"):
            return Replay(snapshots[-1], losses, loss)
        for snapshot in reversed(snapshots):
            view = find_view(snapshot.output, loss.scores)
            if view:
                return Replay(snapshot, losses, loss, view[1], view[0])
    return Replay(snapshots[-1], losses, kept[0] if kept else None)
