"""Modules: root forwards with their mode, inputs and outputs; activations by layer on deep windows; train/eval switches."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as module_hooks

from cognate.observe.live import facts
from cognate.observe.live.chance import state_of
from cognate.observe.live.patch import before_and_after, wrap
from cognate.observe.live.recorder import Recorder, guarded, timed
from cognate.observe.live.targets import edges

# Root forwards described in full per window and kind (training, evaluation).
CLOSE_FORWARDS = 3
# Rows (samples, or places in them) over which a unit must be silent to be called so.
MOST_UNIT_ROWS = 256
# Times that a no_grad block alone opens the hooks; a script that uses one in every step must not pay for it for ever.
MOST_OPENINGS = 300
MOST_REPEATS = 16
ACTIVATIONS = ("ReLU", "LeakyReLU", "GELU", "SiLU", "ELU", "Tanh", "Sigmoid", "Hardtanh", "ReLU6", "Softplus", "SELU")


class Modules:
    """Global forward hooks, registered only while a close window or an evaluation is open."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.tops: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.used: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self.stack: list[nn.Module] = []
        self.handles: list[Any] = []
        self.compiled = False
        self.training: bool | None = None
        self.inputs: list[Tensor] = []
        self.calls: dict[int, int] = {}  # of the parts, by id, in the root forward under way
        self.given: list[Tensor] = []  # the floats among the inputs as well
        self.forwards = {True: 0, False: 0}
        self.activations: dict[str, dict[str, Any]] = {}
        self.names: dict[int, str] = {}
        self.on_root_enter: Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None] = lambda module, args, kwargs: None
        self.on_root_exit: Callable[[nn.Module, tuple[Any, ...], dict[str, Any], Any], None] = (
            lambda module, args, kwargs, output: None
        )
        guard = guarded(recorder, "forward hook")
        self._enter, self._exit = guard(self._enter), guard(self._exit)
        self._switching = 0
        self.openings = 0

    def install(self) -> None:
        """Wrap train/eval and parameters(), and listen from the first window on."""
        wrap(nn.Module, "train", self._observed_train)
        wrap(nn.Module, "parameters", self._observed_parameters)
        wrap(nn.Module, "__setattr__", self._observed_setattr)
        wrap(torch, "compile", self._observed_compile)
        for context in (torch.no_grad, torch.inference_mode):
            wrap(context, "__enter__", before_and_after(before=guarded(self.recorder, "no_grad")(self._gradient_off)))
        self.listen()

    def listen(self) -> None:
        """Register the global hooks (idempotent). torch.compile would recompile for them, so it turns them off for good."""
        if self.handles or self.compiled:
            return
        self.handles = [
            module_hooks.register_module_forward_pre_hook(self._enter),
            module_hooks.register_module_forward_hook(self._exit, with_kwargs=True, always_call=True),
        ]

    def window_over(self) -> None:
        """Close the window's books; stop listening if the next window is not close."""
        self.stack.clear()
        self.forwards = {True: 0, False: 0}
        self.inputs = []
        self.given = []
        self.activations = {}
        if self.recorder.close:
            self.listen()
        else:
            self.quiet()

    def quiet(self) -> None:
        """Take the global hooks off."""
        for handle in self.handles:
            handle.remove()
            # torch forgets to take this entry away, and torch.compile then warns that there are hooks.
            module_hooks._global_forward_hooks_with_kwargs.pop(handle.id, None)
        self.handles = []

    def _observed_train(self, original: Callable[..., Any]) -> Callable[..., Any]:
        note = guarded(self.recorder, "train/eval")(self._switched)

        def train(module: nn.Module, mode: bool = True) -> nn.Module:
            self._switching += 1
            try:
                result = original(module, mode)
            finally:
                self._switching -= 1
            if self._switching == 0:
                note(module, mode)
            return result

        return train

    def _switched(self, module: nn.Module, mode: bool) -> None:
        self.tops.add(module)
        self.recorder.call("train" if mode else "eval", self.recorder.sites.here(4), object=self._label(module))
        if not mode:
            self.listen()

    def _gradient_off(self, context: Any) -> None:
        """An evaluation may begin: first-party code (not an optimizer's own decorator) turned gradients off."""
        if self.handles or self.openings >= MOST_OPENINGS:
            return
        frame = sys._getframe(3)
        if "func" in frame.f_locals and frame.f_code.co_name == "decorate_context":
            code = getattr(frame.f_locals["func"], "__code__", None)
            first_party = code is not None and self.recorder.sites.first_party(code.co_filename)
        else:
            first_party = self.recorder.sites.first_party(frame.f_code.co_filename)
        if first_party:
            self.openings += 1
            self.listen()

    def _observed_parameters(self, original: Callable[..., Any]) -> Callable[..., Any]:
        note = guarded(self.recorder, "parameters()")(self.tops.add)

        def parameters(module: nn.Module, recurse: bool = True) -> Any:
            note(module)
            return original(module, recurse)

        return parameters

    def _observed_setattr(self, original: Callable[..., Any]) -> Callable[..., Any]:
        recorder = self.recorder

        def setattr_(module: nn.Module, name: str, value: Any) -> None:
            # A part that is replaced in mid-run deserves a closer look; before the first step models are being built.
            if recorder.step and isinstance(value, (nn.Module, nn.Parameter)):
                recorder.look_closely()
            original(module, name, value)

        return setattr_

    def _observed_compile(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def compiled(*args: Any, **kwargs: Any) -> Any:
            self.compiled = True
            self.quiet()
            return original(*args, **kwargs)

        return compiled

    def _label(self, module: nn.Module) -> str:
        return f"{self.recorder.label(module, 'model')} {type(module).__name__}"

    def _enter(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        if not self.stack:
            # torch gives a global pre-hook no keyword arguments; its caller's frame holds them (Hugging Face models are
            # called with keywords only). This hook is called through `guarded`, so the caller is two frames up.
            kwargs = sys._getframe(2).f_locals.get("kwargs") or {}
            self.stack.append(module)
            self.calls = {}
            if next(module.parameters(), None) is None:  # a criterion or a transform: no model of its own
                return
            self.training = module.training
            self.given = [t.detach() for t in facts.tensors_in((args, kwargs)) if facts.readable(t)]
            self.inputs = [t for t in self.given if not t.is_floating_point()]
            self.tops.add(module)
            self.on_root_enter(module, args, kwargs)
            return
        self.calls[id(module)] = self.calls.get(id(module), 0) + 1
        self.stack.append(module)

    @property
    def in_model(self) -> bool:
        """Whether the forward of a root with parameters is under way."""
        return bool(self.stack) and next(self.stack[0].parameters(), None) is not None

    def _exit(self, module: nn.Module, args: tuple[Any, ...], kwargs: Any, output: Any = None) -> None:
        while self.stack and self.stack.pop() is not module:
            pass
        if not isinstance(kwargs, dict):  # the forward raised; torch then calls a global hook without the keywords
            return
        self.used.add(module)
        if self.stack:
            if self.recorder.deep and torch.is_grad_enabled() and isinstance(output, Tensor):
                timed(self.recorder)(self._activation)(module, output)
            return
        if next(module.parameters(), None) is None:
            return
        self.on_root_exit(module, args, kwargs, output)
        self._root_done(module, (args, kwargs), output)

    def _root_done(self, module: nn.Module, given: Any, output: Any) -> None:
        grad = torch.is_grad_enabled()
        self.recorder.counts[f"forward:{'train' if module.training else 'eval'}:{'grad' if grad else 'no_grad'}"] += 1
        self.forwards[grad] += 1
        if self.forwards[grad] > CLOSE_FORWARDS:
            return
        timed(self.recorder)(self._describe_root)(module, given, output, grad)

    def _describe_root(self, module: nn.Module, given: Any, output: Any, grad: bool) -> None:
        modes = {True: 0, False: 0}
        moody: list[str] = []  # modules whose behaviour depends on the mode, in the mode that does not fit the root's
        for name, part in module.named_modules():
            modes[part.training] += 1
            if depends_on_mode(part) and part.training != grad and len(moody) < 20:
                moody.append(f"{name or '.'}:{type(part).__name__}")
        inputs, outputs = facts.tensors_in(given)[:4], facts.tensors_in(output)[:4]
        described = [facts.describe(t) | {"hash": facts.fingerprint(t)} | edges(t) for t in inputs]
        if described and "std" in described[0]:  # a tensor of numbers that could be read
            described[0]["distinct"] = int(torch.unique(facts.sample(inputs[0], 2048)).numel())
            described[0].update(facts.between_rows(inputs[0]))
        self.recorder.event(
            "forward",
            self.recorder.sites.here(4),
            object=self._label(module),
            training=module.training,
            grad=grad,
            train_modules=modes[True],
            eval_modules=modes[False],
            mode_dependent=sum(depends_on_mode(part) for part in module.modules()),
            mode_mismatch=moody,
            repeats=self._repeats(module),
            random=state_of(next(module.parameters()).device),
            inputs=described,
            rows=facts.row_fingerprints(inputs[0]) if inputs and inputs[0].dim() > 0 else [],
            outputs=[facts.describe(t) for t in outputs],
            outputs_require_grad=any(t.requires_grad for t in outputs),
        )

    def _repeats(self, root: nn.Module) -> dict[str, int]:
        """How often the parts with parameters ran that ran more than once: the depth of a recursion."""
        found: dict[str, int] = {}
        for name, part in root.named_modules():
            count = self.calls.get(id(part), 0)
            if count > 1 and len(found) < MOST_REPEATS and next(part.parameters(), None) is not None:
                found[name] = count
        return found

    def _activation(self, module: nn.Module, output: Tensor) -> None:
        if not output.is_floating_point() or output.numel() == 0 or next(module.children(), None) is not None:
            return
        name = self.names.get(id(module)) or f"{type(module).__name__}@{self.recorder.label(module, 'module')}"
        values = facts.sample(output, 16_384).float()
        record: dict[str, Any] = {"mean_abs": float(values.abs().mean()), "cls": type(module).__name__}
        record["std"] = float(values.std()) if values.numel() > 1 else 0.0
        record["zero"] = float((values == 0).float().mean())
        if type(module).__name__ in ACTIVATIONS:
            flat = output.detach().reshape(-1, output.shape[-1]) if output.dim() != 4 else output.detach().flatten(2)
            units = flat if output.dim() != 4 else flat.permute(0, 2, 1).reshape(-1, output.shape[1])
            units = units[:: max(1, units.shape[0] // MOST_UNIT_ROWS)]
            record["dead"] = float((units.abs().amax(0) == 0).float().mean())  # units silent over the whole batch
            record["units"], record["rows"] = units.shape[1], units.shape[0]
            record["saturated"] = _saturated(type(module).__name__, values)
        self.activations[name] = record


def depends_on_mode(module: nn.Module) -> bool:
    """Whether `module` computes something else in training than in evaluation."""
    if isinstance(module, nn.modules.dropout._DropoutNd):
        return module.p > 0
    if isinstance(module, nn.modules.batchnorm._NormBase):
        return bool(module.track_running_stats)
    return isinstance(module, (nn.RNNBase, nn.MultiheadAttention)) and bool(module.dropout)


def _saturated(name: str, values: Tensor) -> float:
    if name == "Sigmoid":
        return float(((values < 1e-4) | (values > 1 - 1e-4)).float().mean())
    if name == "Tanh":
        return float((values.abs() > 1 - 1e-4).float().mean())
    return 0.0
