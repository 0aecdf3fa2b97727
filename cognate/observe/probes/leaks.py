"""Which modules let the future in, or mix the samples of a batch: told by inputs that differ in one place only."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from cognate.observe.live.facts import tensors_in
from cognate.observe.probes.replay import map_tensors, state_kept

# Work on each position alone by construction; running them again would tell nothing.
POINTWISE = (nn.Linear, nn.Embedding, nn.LayerNorm, nn.Dropout, nn.Identity, nn.GELU, nn.ReLU, nn.SiLU, nn.Tanh, nn.Sigmoid)
MOST_MODULES = 200
# Fused kernels agree to this share of the output's scale where nothing leaks.
TOLERANCE = 1e-5

Call = tuple[tuple[Any, ...], dict[str, Any], Any]


def leaking_modules(model: nn.Module, run_base: Any, run_changed: Any, time: int, t: int) -> list[dict[str, Any]]:
    """Modules that turn inputs equal up to t into outputs that differ up to t, and hold no smaller such module.

    `run_base` and `run_changed` run `model` on the two inputs, which differ after position t only. A module that is called
    several times in a forward is judged by its first call.
    """
    names = {module: name for name, module in model.named_modules()}
    base, changed = calls_of(model, run_base), calls_of(model, run_changed)
    guilty: dict[str, str] = {}
    for module in list(base)[:MOST_MODULES]:
        if module in changed and not isinstance(module, POINTWISE) and _leaks(module, base[module], changed[module], time, t):
            guilty[names[module]] = type(module).__name__
    return smallest(guilty)


def mixing_modules(model: nn.Module, run_base: Any, run_changed: Any, size: int, sample: int) -> list[dict[str, Any]]:
    """Modules that turn inputs which differ in one sample of a batch of `size` into outputs that differ in others.

    Dimension 0 is taken for the batch in what a module is given and gives back; those with another layout are left alone.
    """
    names = {module: name for name, module in model.named_modules()}
    base, changed = calls_of(model, run_base), calls_of(model, run_changed)
    guilty: dict[str, str] = {}
    for module in list(base)[:MOST_MODULES]:
        if module not in changed or isinstance(module, POINTWISE) or next(module.parameters(), None) is None:
            continue
        given = _others_moved(base[module][:2], changed[module][:2], size, sample)
        made = _others_moved(base[module][2], changed[module][2], size, sample)
        if given is False and made:
            guilty[names[module]] = type(module).__name__
    return smallest(guilty)


def _others_moved(base: Any, changed: Any, size: int, sample: int) -> bool | None:
    """Whether a sample other than `sample` differs; None where nothing has a sample a row, or the tensors can't be compared."""
    rows = [
        (a, b)
        for a, b in zip(tensors_in(base), tensors_in(changed), strict=False)
        if a.dim() > 1 and a.shape == b.shape and a.shape[0] == size and a.is_floating_point()
    ]
    if not rows:
        return None
    others = [index for index in range(size) if index != sample]
    scale = max(float(a.float().std()) for a, _ in rows)
    return any(float((a[others] - b[others]).abs().max()) > TOLERANCE * max(scale, 1e-3) + 1e-6 for a, b in rows)


def smallest(guilty: dict[str, str]) -> list[dict[str, Any]]:
    """Of modules by name, those that hold no other of them."""
    kept = [name for name in guilty if not any(_inside(other, name) for other in guilty)]
    return [{"name": name, "cls": guilty[name]} for name in kept]


def _inside(name: str, outer: str) -> bool:
    return name != outer and (outer == "" or name.startswith(f"{outer}."))


def calls_of(model: nn.Module, run: Any) -> dict[nn.Module, Call]:
    """What each module of `model` was given at its first call in `run()`, and what it gave back."""
    seen: dict[nn.Module, Call] = {}

    def note(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        if module not in seen:
            seen[module] = (*map_tensors((args, kwargs), lambda x: x.clone()), map_tensors(output, lambda x: x.clone()))

    handles = [module.register_forward_hook(note, with_kwargs=True) for module in model.modules()]
    try:
        with torch.no_grad(), state_kept(model):
            run()
    finally:
        for handle in handles:
            handle.remove()
    return seen


def _leaks(module: nn.Module, base: Call, changed: Call, time: int, t: int) -> bool:
    given, other = tensors_in(base[:2]), tensors_in(changed[:2])
    if len(given) != len(other) or any(a.shape != b.shape for a, b in zip(given, other, strict=True)):
        return False
    mixed = iter([_mixed(a, b, time, t) for a, b in zip(given, other, strict=True)])
    if not any(_axis(a, time) is not None and not torch.equal(a, b) for a, b in zip(given, other, strict=True)):
        return False
    args, kwargs = map_tensors(base[:2], lambda _: next(mixed))
    with torch.no_grad(), state_kept(module):
        torch.manual_seed(0)
        again = module(*map_tensors(base[0], Tensor.clone), **map_tensors(base[1], Tensor.clone))
    with torch.no_grad(), state_kept(module):
        torch.manual_seed(0)
        output = module(*args, **kwargs)
    for a, b in zip(tensors_in(again), tensors_in(output), strict=False):
        axis = _axis(a, time)
        if axis is None or a.shape != b.shape or not a.is_floating_point():
            continue
        before = a.narrow(axis, 0, t + 1), b.narrow(axis, 0, t + 1)
        scale = float(a.float().std()) if a.numel() > 1 else 1.0
        if float((before[0] - before[1]).abs().max()) > TOLERANCE * max(scale, 1e-3) + 1e-6:
            return True
    return False


def _axis(tensor: Tensor, time: int) -> int | None:
    """The time axis: 1 in (batch, time, …), the last in (batch, channels, time), 0 in (time, batch, …)."""
    if tensor.dim() >= 2 and tensor.shape[1] == time:
        return 1
    if tensor.dim() == 3 and tensor.shape[2] == time:
        return 2
    # Last, because a batch may happen to hold as many rows as there are tokens.
    return 0 if tensor.dim() == 3 and tensor.shape[0] == time else None


def _mixed(base: Tensor, changed: Tensor, time: int, t: int) -> Tensor:
    axis = _axis(base, time)
    result = base.clone()
    # A square (time, time) tensor is a mask, not a sequence; it is the same in both runs.
    if axis is not None and t + 1 < time and not torch.equal(base, changed):
        result.narrow(axis, t + 1, time - t - 1).copy_(changed.narrow(axis, t + 1, time - t - 1))
    return result
