"""What probes leave untouched (everything), when they run, and that each says why it did not."""

from __future__ import annotations

import copy
import random
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.session import EARLY, LATE, ONCE_LATE, TWICE, first_loss

ALL = {probe.__name__ for probe in (first_loss, *EARLY, *TWICE, *LATE, *ONCE_LATE)}


class Everything(nn.Module):
    """State of every sort: parameters, buffers, plain attributes, frozen parts in evaluation mode, random draws."""

    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(9, 8), nn.GRU(8, 8, batch_first=True, dropout=0.1, num_layers=2)
        self.norm, self.drop, self.head = nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 9)
        self.norm.eval()
        self.register_buffer("calls", torch.zeros(()))
        self.history, self.count, self.last = [], 0, None

    def forward(self, tokens):
        self.calls += 1
        self.count += 1
        self.history.append(float(torch.rand(1)) + random.random() + np.random.rand())
        hidden, self.last = self.rnn(self.embed(tokens))
        print("forward", self.count)
        warnings.warn("a forward", stacklevel=2)
        return self.head(self.drop(self.norm(hidden.transpose(1, 2)).transpose(1, 2)))


def state(model, optimizer):
    tensors = {name: (tensor.detach().clone(), tensor._version) for name, tensor in model.state_dict(keep_vars=True).items()}
    grads = {name: (p.grad.clone(), p.grad._version) for name, p in model.named_parameters()}
    plain = copy.deepcopy((model.history, model.count, [t.detach() for t in (model.last,)], optimizer.state_dict()))
    modes = [module.training for module in model.modules()]
    return tensors, grads, plain, modes


def streams():
    kind, keys, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), random.getstate(), (kind, keys.tolist(), *rest)


@pytest.mark.parametrize("step", [2, 40])
def test_everything_is_as_it_was(bench, step, capfd, recwarn):
    made, model = bench(), Everything()
    optimizer = torch.optim.Adam(model.parameters())
    tokens = torch.randint(0, 9, (6, 8))
    optimizer.zero_grad()
    made.window(model, lambda out: F.cross_entropy(out[:, :-1].transpose(1, 2), tokens[:, 1:]), tokens, step=step)
    optimizer.step()
    before, drawn = state(model, optimizer), streams()
    capfd.readouterr()
    recwarn.clear()
    with torch.no_grad():
        rows = made.results()
        assert not torch.is_grad_enabled()
    out, err = capfd.readouterr()
    assert (out, err) == ("", "") and len(recwarn) == 0
    assert streams() == drawn
    torch.testing.assert_close(state(model, optimizer), before, rtol=0, atol=0)
    assert {name for name, row in rows.items() if row["status"] == "ok"} >= {
        "causality",
        "determinism",
        "gradient_reach",
    }
    assert made.recorder.alive and made.recorder.errors == [] and made.losses.capture is None
    assert ("overfit_batch" in rows) and (rows["overfit_batch"]["status"] == "ok") is (step == 40)


def test_every_probe_that_ran_says_what_it_did_and_what_it_cost(bench):
    made = bench()
    tokens = torch.randint(0, 9, (6, 8))
    made.window(
        nn.Sequential(nn.Embedding(9, 8), nn.Dropout(0.1), nn.Linear(8, 9)),
        lambda out: F.cross_entropy(out[:, :-1].transpose(1, 2), tokens[:, 1:]),
        tokens,
    )
    rows = made.results()
    assert set(rows) == ALL
    for row in rows.values():
        if row["status"] == "ok":
            assert row["did"].endswith(".") and row["seconds"] >= 0 and row["seed"] == 0 and row["result"]
        else:
            assert row["reason"]


def simple(made, step=2):
    made.window(nn.Linear(4, 3), lambda out: F.cross_entropy(out, torch.arange(6) % 3), torch.randn(6, 4), step=step)
    return made


def test_probes_that_are_turned_off_say_so(bench):
    rows = simple(bench(probe_seconds=0.0)).results()
    assert set(rows) == ALL
    experiments = ALL - {"first_loss"}  # the first loss is only read, nothing is run for it
    assert {(rows[name]["status"], rows[name]["reason"]) for name in experiments} == {("not_run", "probes were turned off")}


def test_time_that_is_used_up_is_the_reason(bench):
    rows = simple(bench(probe_seconds=1e-6)).results()
    reasons = {row["reason"] for row in rows.values() if row["status"] == "not_run"}
    assert any("--probe-seconds" in reason or "turned off" in reason or "no training step" in reason for reason in reasons)
    assert rows["first_loss"]["status"] == "ok"


def test_a_window_that_is_not_due_is_left_alone(bench):
    made = simple(bench(), step=1)
    assert made.session.snapshots == []
    assert {name for name, row in made.results().items() if row["status"] == "ok"} == {"first_loss"}


def test_early_probes_run_once_and_late_ones_again(bench):
    made = bench()
    counts = []
    for step in (2, 10):
        simple(made, step)
        made.session.window_over()
        counts.append([row["probe"] for where, row in made.recorder.rows if where == "probes"])
    assert counts[1].count("determinism") == 1 and counts[1].count("input_dependence") == 2


def test_forwards_in_evaluation_are_no_material(bench):
    made = bench()
    made.recorder.step = 1
    with torch.no_grad():
        made.session.forward_done(nn.Linear(2, 2), (torch.ones(1, 2),), {}, torch.ones(1, 2))
    assert made.session.snapshots == []
    rows = made.results()
    assert {row["reason"] for row in rows.values()} == {"no training step with a model was seen"}


def test_a_model_on_which_a_probe_fails_is_said(bench):
    class Once(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.used = nn.Linear(4, 3), False

        def forward(self, x):
            if self.used:
                raise RuntimeError("only once")
            self.used = True
            return self.layer(x)

    made = bench()
    made.window(Once(), lambda out: F.cross_entropy(out, torch.arange(6) % 3), torch.randn(6, 4))
    rows = made.results()
    assert rows["determinism"]["reason"] == "it failed on this model (RuntimeError: only once)"
    assert made.recorder.errors == []
