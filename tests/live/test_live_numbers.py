"""What the recorder writes down about precision, about the first non-finite number, and about state that leaves and returns."""

from __future__ import annotations

import pytest

SCRIPT = """
import os, tempfile
import torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(0)
alive = []

def skipping():
    model = nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for i in range(9):
        optimizer.zero_grad()
        loss = model(torch.randn(8, 4)).pow(2).mean() * (float("inf") if i % 3 == 2 else 1.0)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()

def half_state():
    model = nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 1)).bfloat16()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    alive.extend([model, optimizer])
    for _ in range(4):
        optimizer.zero_grad()
        F.mse_loss(model(torch.randn(8, 4).bfloat16()), torch.ones(8, 1).bfloat16()).backward()
        optimizer.step()

def two_sittings(weights):
    def build():
        model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        alive.extend([model, optimizer])
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2)
    def train(model, optimizer, schedule):
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.randn(8, 4)).pow(2).mean().backward()
            optimizer.step()
            schedule.step()
    parts = build()
    train(*parts)
    path = os.path.join(tempfile.mkdtemp(), "last.pt")
    states = dict(zip(("model", "optimizer", "schedule"), (part.state_dict() for part in parts)))
    torch.save({**states, "step": 3, "rng": torch.get_rng_state()}, path)
    model, optimizer, schedule = build()
    kept = torch.load(path, weights_only=True)
    if weights:
        model.load_state_dict(kept["model"])
        optimizer.load_state_dict(kept["optimizer"])
        schedule.load_state_dict(kept["schedule"])
        torch.set_rng_state(kept["rng"])
    train(model, optimizer, schedule)

def resumed():
    two_sittings(True)

def forgotten():
    two_sittings(False)

def steep():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i in range(3):
        optimizer.zero_grad()
        x = torch.randn(8, 4)
        length = ((model(x) - (model(x).detach() if i == 2 else 0)) ** 2).sum(-1).sqrt()
        (length.mean()).backward()
        optimizer.step()

def zero_logarithm():
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for i in range(30):
        optimizer.zero_grad()
        p = torch.softmax(model(torch.randn(8, 4)) * (1.0 if i < 25 else 1e4), -1)
        loss = -(torch.log(p) * p.detach()).sum()
        loss.backward()
        optimizer.step()

for section in (half_state, resumed, forgotten, steep, zero_logarithm, skipping):
    section()
"""

MASKED = """
import torch, torch.nn as nn
torch.manual_seed(0)
class Attend(nn.Module):
    def __init__(self):
        super().__init__()
        self.qk = nn.Linear(8, 8)
    def forward(self, x):
        scores = self.qk(x) @ x.transpose(1, 2)
        scores = scores.masked_fill(torch.ones(6, 6).triu().bool(), float("-inf"))
        return torch.softmax(scores, -1) @ x
model = Attend()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(3):
    optimizer.zero_grad()
    loss = model(torch.randn(2, 6, 8)).pow(2).mean()
    loss.backward()
    optimizer.step()
"""


def of(case, section, kind, **fields):
    return [e for e in case.events(kind, **fields) if e.get("site", {}).get("function") in (section, "two_sittings", "train")]


@pytest.fixture(scope="module")
def case(new_patient):
    run = new_patient(SCRIPT).observed(options={"probe": False})
    assert run.code == 0 and run.complaints == [] and run.case.info["integrity"]["errors"] == []
    return run.case


def test_skipped_steps_are_counted_over_the_whole_run(case):
    last = case.events("scaler")[-1]
    assert (last["steps"], last["skipped"], last["skips"]) == (9, 3, [3, 6, 9])
    assert last["last_scale"] == 128.0 and last["growth_interval"] == 2000


def test_the_number_types_of_an_optimizers_state(case):
    states = [o["state_dtypes"] for o in case.model["optimizers"] if o["cls"] == "Adam"]
    assert states[0]["exp_avg_sq"] == {"bfloat16": 4} and states[1]["exp_avg_sq"] == {"float32": 4}
    rows = [row for row in case.metrics if row["optimizer"] == "optimizer#0"]
    assert all(0 <= row["unchanged_moments"] <= 1 for row in rows[1:]) and "unchanged_moments" not in case.metrics[-1]
    assert all(0 <= row["zero_gradients"] <= 1 for row in rows)


def test_what_a_checkpoint_holds_and_what_was_taken_from_it(case):
    saves, loads = case.events("checkpoint", name="save"), case.events("checkpoint", name="load")
    kinds = {"model": "weights", "optimizer": "optimizer", "schedule": "scheduler", "step": "integer", "rng": "rng"}
    assert [e["holds"] for e in (*saves, *loads)] == [kinds] * 4 and loads[0]["numbers"] == {"step": 3.0}
    assert loads[0]["file"] == saves[0]["file"] and loads[0]["weights_only"] is True
    taken = [e["name"] for e in case.events("checkpoint") if e["name"].startswith("load_")]
    assert taken == ["load_state_dict", "load_optimizer", "load_scheduler", "load_rng"]
    arrived = case.events("checkpoint", name="arrived")
    assert [(e["fitting"], e["equal"], e["elsewhere"]) for e in arrived] == [(3, 3, 3), (3, 0, 3)] and arrived[1]["of"] == loads[
        1
    ]["n"]


def test_an_infinite_derivative_is_found_although_the_loss_is_finite(case):
    onset = case.events("onset")[0]
    assert (onset["phase"], onset["op"], onset["born"], onset["nonfinite"]) == ("backward", "sqrt", "here", 2)


def test_the_operation_that_made_the_first_non_finite_number(case):
    onset = case.events("onset")[1]
    assert (onset["phase"], onset["op"], onset["born"], onset["nth"]) == ("forward", "log", "here", 1)
    assert onset["min"] == 0.0 and onset["nonfinite_weights"] == []


def test_a_first_window_that_is_already_non_finite_is_traced(new_patient):
    case = new_patient(MASKED).observed(options={"probe": False}).case
    onset = case.events("onset")[0]
    assert (onset["step"], onset["op"], onset["born"], onset["nonfinite_weights"]) == (0, "softmax", "here", [])
    first = next(node for node in case.trace if node.get("nan"))
    assert (first["w"], first["op"]) == (0, "softmax") and first["site"]["line"] == 11
