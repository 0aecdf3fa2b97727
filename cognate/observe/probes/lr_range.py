"""Would a smaller or a larger learning rate do better? (Smith 2017: a learning-rate range test, here on one batch.)"""

from __future__ import annotations

import math
import time
from collections import OrderedDict, defaultdict
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from cognate.observe.live.facts import numel
from cognate.observe.probes.replay import NotRun, Replay

# The nearest first: where a step is dear, the far ones are left out.
FACTORS = (1.0, 0.1, 10.0, 0.01, 100.0, 1000.0)
NEAREST = 3
STEPS, LEAST_STEPS = 12, 4
SECONDS = 1.0
# What three copies with two moments each take is little beside a model of this size's own activations.
MOST_NUMBERS = 50_000_000


def lr_range(replay: Replay) -> dict[str, Any]:
    """Took steps of the run's own optimizer, with its state, on one batch, at its rate and at multiples of it."""
    optimizer = replay.optimizer
    model = replay.snapshot.module
    if optimizer is None or not type(optimizer).__module__.startswith("torch.optim") or isinstance(optimizer, LBFGS):
        raise NotRun("the optimizer that stepped is not one of torch.optim, or needs a closure")
    owned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    names = [name for name, p in model.named_parameters() if id(p) in owned and p.requires_grad]
    rates = [float(group["lr"]) for group in optimizer.param_groups]
    if not names or not any(rates):
        raise NotRun("the optimizer that stepped owns nothing of this model, or its rate is zero")
    if sum(numel(p) for p in model.parameters()) > MOST_NUMBERS:
        raise NotRun("the model is too large to train copies of it")
    first, costs = _train(replay, optimizer, names, FACTORS[0], LEAST_STEPS)
    affordable = SECONDS / max(min(costs, default=SECONDS), 1e-9)  # steps, over all arms
    factors = FACTORS if affordable >= LEAST_STEPS * len(FACTORS) else FACTORS[:NEAREST]
    steps = min(STEPS, int(affordable / len(factors)))
    if steps < LEAST_STEPS:
        raise NotRun("a step on a copy takes too long to make several")
    arms = {f"{factor:g}": _train(replay, optimizer, names, factor, steps)[0] for factor in factors}
    return {"losses": arms, "lr": rates[0], "optimizer": type(optimizer).__name__, "steps": steps, "first": first[0]}


def _train(
    replay: Replay, optimizer: Optimizer, names: list[str], factor: float, steps: int
) -> tuple[list[float | None], list[float]]:
    """The loss before each of `steps` steps on a fresh copy and after the last, None where it is not finite; seconds a step."""
    model = replay.copy()
    ours = dict(model.named_parameters())
    theirs = dict(replay.snapshot.module.named_parameters())
    pairs = {id(theirs[name]): ours[name] for name in names}
    clone = _clone(optimizer, pairs, factor)
    parameters = [ours[name] for name in names]
    weight = _weight(replay)
    # The method beneath torch's profiling hook: the hooks on optimizer steps are the script's and ours, and not for copies.
    step = getattr(type(clone).step, "__wrapped__", type(clone).step)
    values: list[float | None] = []
    costs: list[float] = []
    for number in range(steps + 1):
        begun = time.process_time()
        args, kwargs = replay.inputs()
        loss = replay.value(replay.scores(model, args, kwargs, True))
        values.append(float(loss) if math.isfinite(float(loss)) else None)
        if number == steps or values[-1] is None:
            break
        gradients = torch.autograd.grad(loss * weight, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        _clip(replay, parameters)
        step(clone)
        costs.append(time.process_time() - begun)
    return values, costs


def _weight(replay: Replay) -> float:
    """What multiplies this loss in the gradient of the run: its coefficients over the micro-batches, summed."""
    if replay.loss is None:
        raise NotRun("no torch.nn.functional loss was computed from the model's output")
    row = replay.loss.row
    same = [
        k.row.get("coefficient") for k in replay.losses.kept if (k.name, k.row.get("site")) == (replay.loss.name, row.get("site"))
    ]
    weight = sum(value for value in same if value is not None)
    # A gradient scaler's factor is divided out again before the step; it is a power of two far above any weight of a loss.
    return weight if weight and abs(weight) < 1024 else math.copysign(1.0, weight or 1.0)


def _clip(replay: Replay, parameters: list[nn.Parameter]) -> None:
    if replay.clip is None:
        return
    limit, by_value = replay.clip
    gradients = [p.grad for p in parameters if p.grad is not None]
    if by_value:
        torch._foreach_clamp_min_(gradients, -limit)
        torch._foreach_clamp_max_(gradients, limit)
        return
    norm = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients])))
    torch._foreach_mul_(gradients, min(1.0, limit / (norm + 1e-6)))


def _clone(optimizer: Optimizer, pairs: dict[int, nn.Parameter], factor: float) -> Optimizer:
    """The same optimizer with its state over the copied parameters; made without its constructor, which hooks would see."""
    clone: Optimizer = object.__new__(type(optimizer))
    clone.__dict__.update({k: v for k, v in vars(optimizer).items() if k not in ("step", "param_groups", "state")})
    for name, value in vars(optimizer).items():
        if name.startswith("_optimizer_") and isinstance(value, OrderedDict):
            clone.__dict__[name] = OrderedDict()
    groups = []
    for group in optimizer.param_groups:
        rate = group["lr"].clone() * factor if isinstance(group["lr"], Tensor) else group["lr"] * factor
        kept = [pairs[id(p)] for p in group["params"] if id(p) in pairs]
        groups.append({**group, "params": kept, "lr": rate})
    clone.param_groups = groups
    clone.state = defaultdict(dict)
    for parameter, state in optimizer.state.items():
        if id(parameter) in pairs:
            copied = {k: v.detach().clone() if isinstance(v, Tensor) else v for k, v in state.items()}
            clone.state[pairs[id(parameter)]] = copied
    return clone
