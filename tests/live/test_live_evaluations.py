"""What the recorder sums up of evaluations, and what it notes of the steps of a recursion."""

from __future__ import annotations

import math

import pytest

SCRIPT = """
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
x, y = torch.randn(70, 6), torch.randint(0, 3, (70,))
train = DataLoader(TensorDataset(x[:40], y[:40]), batch_size=20, shuffle=True)
held = DataLoader(TensorDataset(x[40:], y[40:]), batch_size=16)


class Loop(nn.Module):
    def __init__(self):
        super().__init__()
        self.read, self.cell, self.out = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x, rounds=4):
        state = self.read(x)
        total = torch.zeros_like(state)
        for _ in range(rounds):
            state = torch.tanh(self.cell(state)) * torch.sigmoid(state)
            total += state * (torch.sigmoid(state) > 0.5)
        return self.out(total)


model = Loop()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(3):
    model.train()
    for a, b in train:
        optimizer.zero_grad()
        F.cross_entropy(model(a), b).backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for part in ("one", "two"):
            losses, right = [], 0
            for a, b in held:
                scores = model(a, rounds=1)
                losses.append(F.cross_entropy(scores, b).item())
                right += (scores.argmax(1) == b).sum().item()
            print("plain", sum(losses), losses[0] * 16 + losses[1] * 14, right)
"""


@pytest.fixture(scope="module")
def case(new_patient):
    run = new_patient(SCRIPT).observed(options={"budget": 1e6})
    assert run.code == 0 and run.complaints == [] and run.case.info["integrity"]["errors"] == []
    return run.case


def test_each_pass_without_gradient_is_one_evaluation(case):
    found = case.events("evaluation")
    assert len(found) == 6 and {e["step"] for e in found} == {2, 4, 6}
    assert {(e["batches"], e["rows"], e["first"], e["smallest"], e["largest"]) for e in found} == {(2, 30, 16, 14, 16)}
    assert {e["loader"] for e in found} == {"loader#1"} and not any(e["training"] for e in found)
    assert len({e["number"] for e in found}) == 6


def test_sums_are_those_of_the_script(case):
    printed = [list(map(float, e["text"].split()[1:])) for e in case.events("print")]
    for event, (total, weighted, right) in zip(case.events("evaluation"), printed, strict=True):
        values = {v["fn"]: v for v in event["values"]}
        assert set(values) == {"cross_entropy", "accuracy"}
        assert math.isclose(values["cross_entropy"]["sum"], total, rel_tol=1e-6)
        assert math.isclose(values["cross_entropy"]["by_rows"], weighted, rel_tol=1e-6)
        assert round(values["accuracy"]["by_rows"], 4) == right


def test_a_result_is_printed_after_its_evaluation_and_before_the_next(case):
    prints = [e["n"] for e in case.events("print")]
    spans = [(e["begun"], e["last"]) for e in case.events("evaluation")]
    assert all(begun < last <= n for (begun, last), n in zip(spans, prints, strict=True))
    assert all(n <= begun for n, (begun, _) in zip(prints, spans[1:], strict=False))


def test_how_often_a_part_runs_is_counted_in_training_and_in_evaluation(case):
    repeats = {e["grad"]: e["repeats"] for e in case.events("forward")}
    assert repeats == {True: {"cell": 4}, False: {}}


def test_the_trace_knows_the_size_and_change_of_a_recursion_and_what_is_written_in_place(case):
    window = [n for n in case.trace if n["w"] == 1]
    cells = [n for n in window if "cell.weight" in n.get("p", ())]
    assert len(cells) == 4 and "moved" not in cells[0]
    assert all(n["rms"] > 0 and n["moved"] > 0 for n in cells[1:])
    assert all(0 < n["mean"] < 1 for n in window if n.get("op") == "sigmoid")
    assert {n["a"].get("bound") for n in window if n.get("op") == "gt"} == {0.5}
    assert len({n["into"] for n in window if "into" in n}) == 1


INSIDE = """
import torch
import torch.nn as nn
import torch.nn.functional as F


class Judged(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(6, 3)

    def forward(self, x, labels):
        scores = self.out(x)
        return F.cross_entropy(scores, labels), scores


torch.manual_seed(0)
x, y = torch.randn(40, 6), torch.randint(0, 3, (40,))
model = Judged()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
for epoch in range(2):
    optimizer.zero_grad()
    model(x[:10], y[:10])[0].backward()
    optimizer.step()
    with torch.no_grad():
        losses = [model(a, b)[0].item() for a, b in ((x[10:30], y[10:30]), (x[30:], y[30:]))]
    print("plain", sum(losses), losses[0] * 20 + losses[1] * 10)
"""


def test_a_loss_inside_the_model_counts_for_its_own_batch(new_patient):
    case = new_patient(INSIDE).observed(options={"budget": 1e6}).case
    printed = [list(map(float, e["text"].split()[1:])) for e in case.events("print")]
    found = case.events("evaluation")
    assert [(e["batches"], e["rows"]) for e in found] == [(2, 30), (2, 30)]
    for event, (total, weighted) in zip(found, printed, strict=True):
        (value,) = event["values"]
        assert value["calls"] == 2 and math.isclose(value["sum"], total, rel_tol=1e-6)
        assert math.isclose(value["by_rows"], weighted, rel_tol=1e-6)
