"""State that is kept, copied and restored: state_dict and load_state_dict, deepcopy of modules, torch.save and load."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.weak import WeakTensorKeyDictionary

from cognate.observe.live import facts
from cognate.observe.live.contents import holds, weights_in
from cognate.observe.live.patch import argument, before_and_after, wrap
from cognate.observe.live.recorder import Recorder, guarded, timed

# Calls of each sort that are written down; a script that takes state_dict() every step must not fill the disk.
MOST_EVENTS = 64


class Checkpoints:
    """Wraps the calls by which weights leave and enter a model."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.depth = 0
        self.loaded: set[str] = set()  # labels of modules that received weights from elsewhere
        self.received = WeakTensorKeyDictionary()  # parameters that did, also by a part of their model
        # Files read that no training has begun with: event, and (name, shape, dtype) with a fingerprint of each tensor.
        self.pending: list[tuple[dict[str, Any], list[tuple[tuple[Any, ...], int]]]] = []

    def install(self) -> None:
        """Wrap them."""
        note = guarded(self.recorder, "state_dict")(self._taken)
        wrap(nn.Module, "state_dict", lambda original: self._outermost(original, note))
        load = guarded(self.recorder, "load_state_dict")(self._given)
        wrap(nn.Module, "load_state_dict", before_and_after(after=load))
        wrap(
            Optimizer,
            "load_state_dict",
            before_and_after(after=guarded(self.recorder, "load_state_dict")(self._resumed)),
        )
        wrap(torch, "save", before_and_after(after=guarded(self.recorder, "save")(self._saved)))
        wrap(torch, "load", before_and_after(after=guarded(self.recorder, "load")(timed(self.recorder)(self._read))))
        wrap(torch, "set_rng_state", before_and_after(after=guarded(self.recorder, "rng")(lambda *_: self._event("load_rng"))))
        wrap(copy, "deepcopy", before_and_after(after=guarded(self.recorder, "deepcopy")(self._copied)))
        plan = guarded(self.recorder, "load_state_dict")(self._schedule_given)
        for cls in vars(lr_scheduler).values():
            if inspect.isclass(cls) and issubclass(cls, LRScheduler) and "load_state_dict" in vars(cls):
                wrap(cls, "load_state_dict", lambda original: self._outermost(original, plan))
        given = guarded(self.recorder, "load_state_dict")(lambda result, scaler, *_: self._event("load_scaler"))
        wrap(torch.amp.GradScaler, "load_state_dict", before_and_after(after=given))

    def _outermost(self, original: Any, note: Any) -> Any:
        def state_dict(module: Any, *args: Any, **kwargs: Any) -> Any:
            self.depth += 1
            try:
                result = original(module, *args, **kwargs)
            finally:
                self.depth -= 1
            if self.depth == 0:
                note(module, result)
            return result

        return state_dict

    def _event(self, name: str, **fields: Any) -> dict[str, Any] | None:
        self.recorder.counts[name] += 1
        site = self.recorder.sites.here(5)
        if site is not None and self.recorder.counts[name] <= MOST_EVENTS:
            return self.recorder.event("checkpoint", site, name=name, **fields)
        return None

    def _label(self, module: nn.Module) -> str:
        return f"{self.recorder.label(module, 'model')} {type(module).__name__}"

    def _taken(self, module: nn.Module, result: Any) -> None:
        self._event("state_dict", object=self._label(module))

    def _given(self, result: Any, module: nn.Module, *args: Any, **kwargs: Any) -> None:
        state = argument(args, kwargs, 0, "state_dict")
        live = {p.data_ptr() for p in module.parameters() if p.numel()}
        tensors = [v for v in state.values() if isinstance(v, Tensor)] if isinstance(state, dict) else []
        shared = sum(1 for tensor in tensors if tensor.data_ptr() in live)
        self.loaded.add(self.recorder.label(module, "model"))
        self.received.update((parameter, True) for parameter in module.parameters())
        self._event(
            "load_state_dict",
            object=self._label(module),
            tensors=len(tensors),
            # Loading a state that shares memory with the live weights changes nothing: it was never a copy.
            shares_live_storage=shared,
            missing=len(getattr(result, "missing_keys", ())),
            unexpected=len(getattr(result, "unexpected_keys", ())),
        )

    def _resumed(self, result: Any, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        state = argument(args, kwargs, 0, "state_dict")
        entries = len(state.get("state", ())) if isinstance(state, dict) else 0
        self._event("load_optimizer", object=self.recorder.label(optimizer, "optimizer"), entries=entries)

    def _schedule_given(self, scheduler: Any, result: Any) -> None:
        optimizer = getattr(scheduler, "optimizer", None)
        label = self.recorder.label(optimizer, "optimizer") if optimizer is not None else None
        self._event("load_scheduler", object=self.recorder.label(scheduler, "scheduler"), optimizer=label)

    def _saved(self, result: Any, *args: Any, **kwargs: Any) -> None:
        value = argument(args, kwargs, 0, "obj")
        keys = [str(key) for key in list(value)[:20]] if isinstance(value, dict) else []
        kinds, numbers = holds(value)
        file = _file(argument(args, kwargs, 1, "f"))
        self._event("save", type=type(value).__name__, keys=keys, holds=kinds, numbers=numbers, file=file)

    def _read(self, value: Any, *args: Any, **kwargs: Any) -> None:
        kinds, numbers = holds(value)
        fields = {"type": type(value).__name__, "holds": kinds, "numbers": numbers, "weights_only": kwargs.get("weights_only")}
        event = self._event("load", file=_file(argument(args, kwargs, 0, "f")), **fields)
        tensors = [(name, t) for name, t in weights_in(value) if _telling(t)]
        if event is not None and tensors:
            prints = [(_key(name, tensor), facts.fingerprint(tensor, 64)) for name, tensor in tensors]
            self.pending = [*self.pending[-7:], (event, prints)]

    def first_step(self, optimizer: Optimizer, roots: Callable[[], Iterable[nn.Module]]) -> None:
        """Training begins: are the weights that were read from files in the model that is trained, or in another?

        By value, so that it does not matter how they got there: `load_state_dict`, a copy, or a framework.
        """
        pending, self.pending = self.pending, []
        owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
        mine: list[tuple[tuple[Any, ...], int]] = []
        others: set[int] = set()
        for root in roots():
            held = [(_key(n, t), facts.fingerprint(t, 64)) for n, t in _state(root) if _telling(t)]
            if any(id(p) in owned for p in root.parameters()):
                mine.extend(held)
            else:
                others.update(found for _, found in held)
        keys, present = {key for key, _ in mine}, {found for _, found in mine}
        for event, prints in pending:
            fields = {key: event.get(key) for key in ("file", "holds", "numbers")} | {"of": event["n"], "tensors": len(prints)}
            fields["fitting"] = sum(key in keys for key, _ in prints)
            fields["equal"] = sum(found in present for _, found in prints)
            fields["elsewhere"] = sum(found in others for _, found in prints)
            label = self.recorder.label(optimizer, "optimizer")
            self.recorder.event("checkpoint", event.get("site"), name="arrived", optimizer=label, **fields)

    def _copied(self, result: Any, *args: Any, **kwargs: Any) -> None:
        value = argument(args, kwargs, 0, "x")
        if isinstance(value, nn.Module):
            self._event("deepcopy", object=self._label(value))
        elif isinstance(value, dict) and any(isinstance(item, Tensor) for item in value.values()):
            self._event("deepcopy", object="state dict")


def _file(target: Any) -> str | None:
    """The path of a checkpoint; None for a buffer or an open file without one."""
    name = target if isinstance(target, (str, os.PathLike)) else getattr(target, "name", None)
    return os.path.realpath(name) if isinstance(name, (str, os.PathLike)) else None


def _state(root: nn.Module) -> list[tuple[str, Tensor]]:
    return [*root.named_parameters(), *root.named_buffers()]


def _telling(tensor: Tensor) -> bool:
    """Whether equal values mean the same tensor: fresh biases and norms are all zeros or ones anyway."""
    if not facts.readable(tensor) or not tensor.is_floating_point() or tensor.numel() < 2:
        return False
    values = facts.sample(tensor, 64)
    return bool((values != values[0]).any())


def _key(name: str, tensor: Tensor) -> tuple[Any, ...]:
    """What must agree for a tensor of a file to be meant for one of a model: the end of its name, its shape, its type."""
    return (*name.split(".")[-2:], tuple(tensor.shape), tensor.dtype)
