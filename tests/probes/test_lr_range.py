"""The learning-rate experiment: its own arm is the run's future, the others tell too high from too low, nothing is touched."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.lr_range import lr_range
from cognate.observe.probes.replay import NotRun, join
from cognate.observe.probes.session import undisturbed

torch.manual_seed(3)
X = torch.randn(32, 10)
Y = (X @ torch.randn(10, 4)).argmax(1)


def net():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 4))


def found(bench, model, optimizer, clip=None, scale=1.0):
    """What the experiment says after two steps of `optimizer`."""
    made = bench()
    loss_of = lambda output: F.cross_entropy(output, Y) * scale  # noqa: E731
    for _ in range(2):
        made.session.snapshots.clear()
        made.losses.kept.clear()
        optimizer.zero_grad()
        made.window(model, loss_of, X)
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    replay = join(made.session.snapshots, made.losses)
    replay.optimizer, replay.clip = optimizer, (clip, False) if clip else None
    with undisturbed(made.modules, made.recorder):
        return lr_range(replay)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-2),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=1e-3),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("clip", [None, 0.05])
def test_the_arm_at_the_rate_itself_is_what_the_run_would_do(bench, name, clip):
    model = net()
    optimizer = OPTIMIZERS[name](model.parameters())
    before = copy.deepcopy((model.state_dict(), optimizer.state_dict()))
    result = found(bench, model, optimizer, clip, scale=0.5)
    after = []
    for _ in range(result["steps"] + 1):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X), Y)
        after.append(float(loss))
        (loss * 0.5).backward()
        if clip:
            nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
    assert result["losses"]["1"] == pytest.approx(after, rel=1e-4)
    assert result["optimizer"] == name and result["lr"] == optimizer.param_groups[0]["lr"]
    assert before[1]["param_groups"] == optimizer.state_dict()["param_groups"]


def test_model_optimizer_and_its_hooks_are_as_they_were(bench):
    model = net()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    seen = []
    optimizer.register_step_post_hook(lambda *args: seen.append(copy.deepcopy((model.state_dict(), optimizer.state_dict()))))
    found(bench, model, optimizer)
    assert len(seen) == 2  # the hook of the script saw its own steps only
    weights, state = seen[-1]
    assert all(torch.equal(weights[name], tensor) for name, tensor in model.state_dict().items())
    now = optimizer.state_dict()
    assert all(torch.equal(now["state"][i][k], v) for i, entry in state["state"].items() for k, v in entry.items())


def test_too_high_too_low_and_right(bench):
    model = net()
    high = found(bench, model, torch.optim.SGD(model.parameters(), lr=30.0, momentum=0.9))["losses"]
    assert min(v for v in high["0.01"] if v is not None) < 0.5 * high["1"][0] < 0.5 * (high["1"][-1] or 1e9)
    model = net()
    low = found(bench, model, torch.optim.Adam(model.parameters(), lr=1e-6))["losses"]
    assert low["1"][-1] > 0.99 * low["1"][0] and low["1000"][-1] < 0.99 * low["1"][0]
    model = net()
    right = found(bench, model, torch.optim.Adam(model.parameters(), lr=1e-2))["losses"]
    assert right["1"][-1] < 0.8 * right["1"][0]


def test_reasons_for_not_running(bench):
    model = net()
    with pytest.raises(NotRun, match="closure"):
        made = bench()
        made.window(model, lambda output: F.cross_entropy(output, Y), X)
        replay = join(made.session.snapshots, made.losses)
        replay.optimizer = torch.optim.LBFGS(model.parameters())
        lr_range(replay)
    with pytest.raises(NotRun, match="its rate is zero"):
        found(bench, model, torch.optim.SGD(model.parameters(), lr=0.0))
