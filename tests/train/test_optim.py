"""Which parameter decays and which optimizer has it; the schedule; when to stop."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from trainer_toys import ToyModel, ToyTask, options, train

from cognate.errors import UsageError
from cognate.train import journal
from cognate.train.loop import DivergedError
from cognate.train.optim import build, roles
from cognate.train.options import TrainOptions
from cognate.train.schedule import factor, schedule
from cognate.train.stopping import EarlyStopping


def test_roles():
    tied = {"embedding.weight": "embedding", "hidden.weight": "hidden", "hidden.bias": "vector"}
    norms = {"norm.weight": "vector", "norm.bias": "vector"}
    assert roles(ToyModel()) == tied | norms
    assert roles(ToyModel(tied=False)) == tied | norms | {"head.weight": "matrix"}
    bare = nn.Module()
    bare.positions, bare.gate = nn.Parameter(torch.zeros(4, 2)), nn.Linear(4, 1)
    bare.convolution = nn.Conv1d(2, 2, 3)
    assert roles(bare) == {
        "positions": "embedding",
        "gate.weight": "matrix",
        "gate.bias": "vector",
        "convolution.weight": "matrix",
        "convolution.bias": "vector",
    }


@pytest.mark.parametrize("optimizer, kinds", [("adamw", ["adamw"]), ("muon", ["muon", "adamw"])])
def test_every_parameter_has_one_optimizer_and_only_matrices_decay(optimizer, kinds):
    model = ToyModel(tied=False)
    built = build(model, options(optimizer=optimizer))
    assert list(built) == kinds
    groups = [group for kind in built.values() for group in kind.param_groups]
    held = [id(parameter) for group in groups for parameter in group["params"]]
    decayed = {id(parameter) for group in groups if group["weight_decay"] for parameter in group["params"]}
    assert sorted(held) == sorted(map(id, model.parameters()))
    assert decayed == {id(model.hidden.weight), id(model.head.weight)}


@given(st.integers(1, 500), st.data())
def test_the_schedule_rises_then_falls_to_its_floor(steps, data):
    warmup, floor = data.draw(st.integers(0, steps)), data.draw(st.floats(0, 1))
    curve = [factor(step, steps=steps, warmup=warmup, floor=floor) for step in range(steps + 2)]
    rising, falling = curve[:warmup], curve[max(0, warmup - 1) :]
    assert all(0 < value <= 1 for value in rising) and rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert not warmup or curve[warmup - 1] == 1
    assert all(value >= floor - 1e-12 for value in curve[warmup:])
    assert warmup == steps or math.isclose(curve[steps - 1], floor, abs_tol=1e-12)


@pytest.mark.parametrize("done", [0, 1, 5])
def test_a_schedule_may_begin_anywhere(done):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
    following = schedule(optimizer, done, steps=9, warmup=2, floor=0.1)
    for step in range(done, 9):
        assert optimizer.param_groups[0]["lr"] == 2.0 * factor(step, steps=9, warmup=2, floor=0.1)
        optimizer.step()
        following.step()


def test_patience_wants_more_than_the_minimum_delta_and_the_best_does_not():
    stopping = EarlyStopping(patience=2, minimum_delta=0.1)
    assert [stopping.update(step, loss) for step, loss in enumerate([1.0, 0.95, 0.85, 0.84, math.nan])] == [
        True,
        True,
        True,
        True,
        False,
    ]
    assert stopping.exhausted and (stopping.best, stopping.best_step) == (0.84, 3)
    assert not EarlyStopping(0, 0.0, waited=9).exhausted


def test_a_run_stops_early_and_says_so(tmp_path, capsys):
    outcome, _ = train(tmp_path, steps=40, evaluate_every=2, patience=2, minimum_delta=100.0)
    assert (outcome.reason, outcome.step, outcome.last.name) == ("early stopping", 6, "step-000006")
    assert "Stopped early at step 6 of 40" in capsys.readouterr().out
    again, _ = train(tmp_path, steps=40, evaluate_every=2, patience=2, minimum_delta=100.0, resume=tmp_path)
    assert again.step == 6


def test_clipping_records_the_norm_before(tmp_path):
    train(tmp_path / "clipped", clip_norm=1e-3, steps=1)
    train(tmp_path / "free", clip_norm=None, steps=1)
    clipped, free = (journal.read(tmp_path / run)[0] for run in ("clipped", "free"))
    assert clipped["grad_norm"] == free["grad_norm"] > 1e-3
    assert (clipped["clipped"], free["clipped"]) == (True, False)


def test_a_gradient_that_is_not_finite_stops_the_run(tmp_path):
    class Broken(ToyTask):
        calls = 0

        def loss(self, model, batch):
            self.calls += model.training
            loss, sums = super().loss(model, batch)
            return loss * (math.inf if self.calls > 8 else 1), sums

    with pytest.raises(DivergedError, match=r"norm of step 5 is nan.* go on from step-000004, the last good checkpoint"):
        train(tmp_path, task=Broken())


def test_bf16_trains_with_fp32_weights(tmp_path):
    outcome, model = train(tmp_path, precision="bf16")
    assert outcome.step == 12 and model.hidden.weight.dtype == torch.float32


def test_options_survive_a_round_trip_and_refuse_nonsense():
    chosen = options(betas=(0.8, 0.9))
    assert TrainOptions.from_dict({**chosen.to_dict(), "betas": [0.8, 0.9]}) == chosen
    for wrong in ({"steps": 0}, {"min_lr_ratio": 2.0}, {"optimizer": "sgd"}, {"warmup_steps": 99}, {"clip_norm": -1.0}):
        with pytest.raises(UsageError, match=f"training option {next(iter(wrong))} is"):
            options(**wrong)
    with pytest.raises(UsageError, match="hold speed, which"):
        TrainOptions.from_dict({"speed": 1})
