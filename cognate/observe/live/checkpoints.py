"""State that is kept, copied and restored: state_dict and load_state_dict, deepcopy of modules, torch.save and load."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from cognate.observe.live.patch import argument, before_and_after, wrap
from cognate.observe.live.recorder import Recorder, guarded

# Calls of each sort that are written down; a script that takes state_dict() every step must not fill the disk.
MOST_EVENTS = 64


class Checkpoints:
    """Wraps the calls by which weights leave and enter a model."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.depth = 0
        self.loaded: set[str] = set()  # labels of modules that received weights from elsewhere

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
        wrap(copy, "deepcopy", before_and_after(after=guarded(self.recorder, "deepcopy")(self._copied)))

    def _outermost(self, original: Any, note: Any) -> Any:
        def state_dict(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            self.depth += 1
            try:
                result = original(module, *args, **kwargs)
            finally:
                self.depth -= 1
            if self.depth == 0:
                note(module, result)
            return result

        return state_dict

    def _event(self, name: str, **fields: Any) -> None:
        self.recorder.counts[name] += 1
        site = self.recorder.sites.here(5)
        if site is not None and self.recorder.counts[name] <= MOST_EVENTS:
            self.recorder.event("checkpoint", site, name=name, **fields)

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
        self._event("load_optimizer", object=self.recorder.label(optimizer, "optimizer"))

    def _saved(self, result: Any, *args: Any, **kwargs: Any) -> None:
        value = argument(args, kwargs, 0, "obj")
        keys = [str(key) for key in list(value)[:20]] if isinstance(value, dict) else []
        self._event("save", type=type(value).__name__, keys=keys)

    def _copied(self, result: Any, *args: Any, **kwargs: Any) -> None:
        value = argument(args, kwargs, 0, "x")
        if isinstance(value, nn.Module):
            self._event("deepcopy", object=self._label(value))
        elif isinstance(value, dict) and any(isinstance(item, Tensor) for item in value.values()):
            self._event("deepcopy", object="state dict")
