"""The optimizer's side of the loop: zero_grad, backward, unscale, clip, step, schedulers, and one metrics row a step."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from cognate.observe.live import facts
from cognate.observe.live.moments import elements, half_moment, still_moments
from cognate.observe.live.patch import argument, before_and_after, wrap
from cognate.observe.live.recorder import Recorder, guarded, timed
from cognate.observe.live.scaling import Scaling


class Steps:
    """Follows every optimizer of the process from construction to its last step."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.optimizers: weakref.WeakSet[Optimizer] = weakref.WeakSet()
        self.sites: dict[str, Any] = {}
        self.taken: dict[str, int] = {}
        self.cleared: weakref.WeakKeyDictionary[Optimizer, bool] = weakref.WeakKeyDictionary()
        self.before: list[tuple[Tensor, Tensor]] = []
        self.losses: list[Tensor] = []
        self.norm: Tensor | None = None
        self.clip: dict[str, Any] = {}
        self.pending: list[tuple[dict[str, Any], list[Tensor], Tensor | None]] = []
        self.last_step_at: float | None = None
        self.grads: dict[str, Any] = {}
        self.in_backward = False
        self.scaling = Scaling(recorder)
        self.moments: list[tuple[Tensor, Tensor, Tensor]] = []
        self.on_backward: Callable[[Tensor], None] = lambda root: None
        self.on_bad_gradients: Callable[[Tensor, list[Tensor]], None] = lambda norms, parameters: None
        self.on_step_begin: Callable[[Optimizer], None] = lambda optimizer: None
        self.on_update: Callable[[dict[int, float]], None] = lambda ratios: None  # on deep windows: |Δw|/|w| by tensor id
        recorder.before_flush.append(guarded(recorder, "metrics")(self._settle))

    def install(self) -> None:
        """Put the hooks in place."""
        guard, recorder = guarded, self.recorder
        wrap(Optimizer, "__init__", before_and_after(after=guard(recorder, "optimizer")(self._constructed)))
        wrap(Optimizer, "zero_grad", before_and_after(after=guard(recorder, "zero_grad")(self._zeroed)))
        wrap(torch.nn.Module, "zero_grad", before_and_after(after=guard(recorder, "zero_grad")(self._module_zeroed)))
        # Both doors: the method itself, because a function mode would hide what it calls, and the function.
        wrap(Tensor, "backward", self._observed_backward)
        wrap(torch.autograd, "backward", self._observed_backward)
        for owner in (torch.nn.utils, torch.nn.utils.clip_grad):
            for name in ("clip_grad_norm_", "clip_grad_value_"):
                note = guard(recorder, name)(self._clipped)
                wrap(owner, name, before_and_after(after=lambda *a, note=note, name=name, **k: note(name, *a, **k)))
        register_optimizer_step_pre_hook(guard(recorder, "step")(self._begin))
        register_optimizer_step_post_hook(guard(recorder, "step")(self._end))
        self._install_scaler()

    def _install_scaler(self) -> None:
        for name in ("unscale_", "step", "update"):
            note = guarded(self.recorder, f"GradScaler.{name}")(self._scaler)
            before = lambda *a, note=note, name=name, **k: note(name, a[0])  # noqa: E731 - one wrapper a name
            after = self.scaling.after(name)
            wrap(torch.amp.GradScaler, name, before_and_after(before=before, after=after))

    def _scaler(self, name: str, scaler: Any) -> None:
        if scaler.is_enabled():
            scale = float(scaler.get_scale()) if self.recorder.close else None
            self.recorder.call(f"scaler_{name.rstrip('_')}", self.recorder.sites.here(5), scale=scale)
            if name == "step":
                self.scaling.before_step()

    def _constructed(self, _: None, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        label = self.recorder.label(optimizer, "optimizer")
        self.optimizers.add(optimizer)
        site = self.recorder.sites.here(4)
        self.sites[label] = site
        groups = [group_facts(group) for group in optimizer.param_groups]
        first = next((p for group in optimizer.param_groups for p in group["params"]), None)
        holds = self.recorder.label(first, "parameter") if first is not None else None
        if self.recorder.step > 0:
            self.recorder.look_closely()
        self.recorder.event("optimizer", site, object=label, cls=type(optimizer).__name__, groups=groups, holds=holds)

    def _zeroed(self, _: None, optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
        self.cleared[optimizer] = True
        self.recorder.call("zero_grad", self.recorder.sites.here(4), object=self.recorder.label(optimizer, "optimizer"))

    def _module_zeroed(self, _: None, module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
        self.recorder.call("zero_grad", self.recorder.sites.here(4), object=self.recorder.label(module, "model"))
        self._notice_cleared()

    def _notice_cleared(self) -> None:
        for optimizer in self.optimizers:
            if not self.cleared.get(optimizer, True) and not _has_gradient(optimizer):
                self.cleared[optimizer] = True

    def _observed_backward(self, original: Callable[..., Any]) -> Callable[..., Any]:
        begin = guarded(self.recorder, "backward")(self._backward_begins)

        def backward(tensors: Any, *args: Any, **kwargs: Any) -> Any:
            if self.in_backward:
                return original(tensors, *args, **kwargs)
            self.in_backward = True
            try:
                begin(tensors, kwargs)
                return original(tensors, *args, **kwargs)
            finally:
                self.in_backward = False

        return backward

    def _backward_begins(self, tensors: Any, kwargs: dict[str, Any]) -> None:
        root = tensors if isinstance(tensors, Tensor) else next(iter(tensors), None)
        if not isinstance(root, Tensor):
            return
        self.losses.append(root.detach())
        if self.recorder.close:
            # The user may clear gradients by hand (p.grad = None); that is seen here, before new ones arrive.
            timed(self.recorder)(self._notice_cleared)()
            value = float(facts.wide(root.detach()).mean())
            retain = kwargs.get("retain_graph")
            site = self.recorder.sites.here(4)
            fields = {"autocast": True} if torch.is_autocast_enabled(root.device.type) else {}
            self.recorder.call("backward", site, value=value, retain_graph=retain, requires_grad=root.requires_grad, **fields)
        else:
            self.recorder.counts["backward"] += 1
        self.on_backward(root)

    def _clipped(self, name: str, result: Any, *args: Any, **kwargs: Any) -> None:
        limit = argument(args, kwargs, 1, "max_norm", "clip_value")
        if name == "clip_grad_norm_" and isinstance(result, Tensor):
            self.norm = result.detach()
        self.clip = {"limit": float(limit), "by": name}
        if self.recorder.close:
            norm = float(result) if isinstance(result, Tensor) else None
            self.recorder.call(name, self.recorder.sites.here(5), limit=float(limit), norm=norm)
        else:
            self.recorder.counts[name] += 1

    def _begin(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        self.optimizers.add(optimizer)
        self.on_step_begin(optimizer)
        if self.recorder.close:
            timed(self.recorder)(self._look_at_gradients)(
                optimizer, any(a is not None for a in args[1:]) or kwargs.get("closure") is not None
            )

    def _look_at_gradients(self, optimizer: Optimizer, closure: bool) -> None:
        recorder = self.recorder
        owned = [p for group in optimizer.param_groups for p in group["params"]]
        graded = [p for p in owned if p.grad is not None and not p.grad.is_sparse]
        grads = [p.grad.detach() for p in graded]  # type: ignore[union-attr]
        norms = facts.wide(torch.stack(torch._foreach_norm(grads))) if _one_device(grads) else torch.zeros(0)
        total = float(torch.linalg.vector_norm(norms)) if norms.numel() else 0.0
        if not math.isfinite(total):
            self.on_bad_gradients(norms, graded)
        state = "none" if not grads else "present" if total != 0 else "zero"
        self.grads = {"state": state, "norm": total}
        recorder.call(
            "step",
            recorder.sites.here(5),
            object=recorder.label(optimizer, "optimizer"),
            grads=state,
            norm=total,
            carried=not self.cleared.get(optimizer, True),
            closure=closure,
            lr=float(optimizer.param_groups[0].get("lr", math.nan)),
        )
        self.before = [(p, elements(p).clone()) for p in owned if p.grad is not None]
        self.moments = [(p, v, elements(v).clone()) for p in owned if (v := half_moment(optimizer, p)) is not None]

    def _end(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        recorder = self.recorder
        label = recorder.label(optimizer, "optimizer")
        self.taken[label] = self.taken.get(label, 0) + 1
        self.cleared[optimizer] = False
        now = time.perf_counter()
        row: dict[str, Any] = {"step": recorder.step, "t": round(now - recorder.started, 6), "optimizer": label}
        row["lr"] = float(optimizer.param_groups[0].get("lr", math.nan))
        if self.last_step_at is not None:
            row["step_time"] = round(now - self.last_step_at, 6)
        if recorder.waited:
            row["data_time"], recorder.waited = round(recorder.waited, 6), 0.0
        if self.clip:
            row["clip"] = self.clip["limit"]
            if self.clip["by"] == "clip_grad_value_":
                row["clip_value"] = True
        if recorder.close:
            timed(recorder)(self._look_at_update)(row)
        else:
            recorder.counts["step"] += 1
        self.pending.append((row, self.losses, self.norm))
        self.losses, self.norm, self.clip, self.before, self.grads, self.moments = [], None, {}, [], {}, []
        self.last_step_at = now
        recorder.end_window()

    def _look_at_update(self, row: dict[str, Any]) -> None:
        row["grad_norm_at_step"] = self.grads.get("norm")
        by_tensor: dict[int, float] = {}
        unchanged = 0
        still = alive = looked = 0
        for parameter, old in self.before:
            size = float(torch.linalg.vector_norm(old.float()))
            moved = float(torch.linalg.vector_norm((elements(parameter) - old).float()))
            unchanged += moved == 0
            if parameter.grad is not None and not parameter.grad.is_sparse:
                live = elements(parameter.grad) != 0
                looked += live.numel()
                alive += int(live.sum())
                still += int((live & (elements(parameter) == old)).sum())
            if size > 0:
                by_tensor[id(parameter)] = moved / size
        if self.before:
            row["unchanged_tensors"], row["tensors"] = unchanged, len(self.before)
            half = sum(p.dtype in (torch.bfloat16, torch.float16) for p, _ in self.before)
            if half > len(self.before) / 2:
                row["half_precision"] = True
            if looked:
                row["zero_gradients"] = round(1 - alive / looked, 5)
            if alive:
                row["unchanged_elements"] = round(still / alive, 5)  # of those whose gradient is not zero
        row.update(still_moments(self.moments))
        if by_tensor:
            row["update_ratio"] = sorted(by_tensor.values())[len(by_tensor) // 2]
            if self.recorder.deep:
                self.on_update(by_tensor)

    def _settle(self) -> None:
        """Turn the tensors that wait in `pending` into numbers: late, so that a GPU need not wait at each step."""
        waiting, self.pending = self.pending, []
        for row, losses, norm in waiting:
            if losses:
                values = [float(facts.wide(loss).mean()) for loss in losses]
                _put(row, "loss", sum(values) / len(values))
                if len(values) > 1:
                    row["backwards"] = len(values)
            if norm is not None:
                _put(row, "grad_norm", float(norm))
                if "clip" in row and row.get("grad_norm_at_step") is not None:
                    row["grad_norm_clipped"] = row["grad_norm_at_step"]
            elif row.get("grad_norm_at_step") is not None:
                _put(row, "grad_norm", row["grad_norm_at_step"])
            self.recorder.add("metrics", row)


def _put(row: dict[str, Any], key: str, value: float) -> None:
    if math.isfinite(value):
        row[key] = value
    else:
        row[key] = None
        row.setdefault("nonfinite", {})[key] = "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def _has_gradient(optimizer: Optimizer) -> bool:
    """Whether any of the first parameters of `optimizer` still holds a gradient that is not zero."""
    looked = 0
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                if bool(parameter.grad.any()):
                    return True
                looked += 1
                if looked >= 4:
                    return False
    return False


def _one_device(tensors: list[Tensor]) -> bool:
    return bool(tensors) and len({t.device for t in tensors}) == 1


def group_facts(group: dict[str, Any]) -> dict[str, Any]:
    """A param group's plain hyper-parameters, and how many tensors and numbers it holds."""
    plain: dict[str, Any] = {k: v for k, v in group.items() if isinstance(v, (int, float, bool, str)) and k != "params"}
    if isinstance(group.get("betas"), (tuple, list)):
        plain["betas"] = [float(beta) for beta in group["betas"]]
    plain["tensors"] = len(group["params"])
    plain["numel"] = sum(facts.numel(p) for p in group["params"])
    return plain
