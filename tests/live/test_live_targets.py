"""What is written down about the targets of a loss, and about gradients that were turned off."""

from __future__ import annotations

import pytest

from cognate.rules.flow import flows

SCRIPT = """
import torch, torch.nn as nn, torch.nn.functional as F

torch.manual_seed(0)

class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.out = nn.Linear(3, 8), nn.Linear(8, 5)

    def forward(self, x):
        with torch.no_grad():
            h = self.inner(x)
        return self.out(torch.relu(h) * 0)

def tagging():
    model = Tagger()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        x, y = torch.randn(16, 12, 3), torch.randint(0, 4, (16, 12))
        for row, length in enumerate(torch.randint(3, 11, (16,)).tolist()):
            x[row, length:], y[row, length:] = 0, 4
        opt.zero_grad()
        F.cross_entropy(model(x).reshape(-1, 5), y.reshape(-1), ignore_index=0).backward()
        opt.step()

def modelling():
    model = nn.Sequential(nn.Embedding(20, 8), nn.Linear(8, 20))
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        tokens = torch.randint(0, 20, (8, 10))
        opt.zero_grad()
        F.cross_entropy(model(tokens).reshape(-1, 20)[:-1], tokens.reshape(-1)[1:]).backward()
        opt.step()

def recognising():
    model = nn.Linear(3, 5)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(2):
        scores = model(torch.randn(12, 4, 3))
        opt.zero_grad()
        F.ctc_loss(scores.log_softmax(-1), torch.randint(1, 5, (4, 3)), torch.full((4,), 12), torch.full((4,), 3)).backward()
        opt.step()

def scoring():
    model = nn.Linear(3, 5)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    y = F.one_hot(torch.randint(0, 5, (8,)), 5).float()
    for target, loss in ((y, F.mse_loss), (y.softmax(-1), F.kl_div)):
        opt.zero_grad()
        loss(model(torch.randn(8, 3)), target).backward()
        opt.step()

for section in (tagging, modelling, recognising, scoring):
    section()
"""


@pytest.fixture(scope="module")
def run(new_patient):
    run = new_patient(SCRIPT).observed(options={"budget": 1e6})
    assert run.code == 0 and run.complaints == [] and run.case.info["integrity"]["errors"] == []
    return run


def calls(run, section):
    return [e for e in run.case.events("loss_call") if e["site"]["function"] == section]


def test_rows_that_end_in_a_value_which_counts_while_another_is_left_out(run):
    for call in calls(run, "tagging"):
        tail = call["target"]["tail"]
        assert tail["value"] == 4 and tail["quiet"] == 1.0 and tail["share"] > 0.2
        assert tail["elsewhere"] < 0.05 and tail["ignored_elsewhere"] > 0.1
        assert call["target"]["holes"] > 0.05


def test_a_shift_that_crosses_from_row_to_row(run):
    for call in calls(run, "modelling"):
        crossing = call["target"]["crossing"]
        assert (crossing["how"], crossing["rows"]) == ("flat", 8) and crossing["first"] < 0.6


def test_kinds_of_numbers(run):
    assert {call["input"]["kind"] for call in calls(run, "recognising")} == {"log_probabilities"}
    squared, divergence = calls(run, "scoring")
    assert squared["target"]["whole"] is True and squared["target"]["rows"] == "one_hot"
    assert divergence["input"]["kind"] == "logits" and divergence["target"]["kind"] == "probabilities"


def test_operations_know_that_gradients_were_off_and_that_nothing_but_zeros_came_out(run):
    nodes = [node for node in run.case.trace if "root" not in node and node["w"] == 1]
    assert [node["op"] for node in nodes if node.get("off")] == ["linear"]
    assert [node["op"] for node in nodes if node.get("zero")] == ["mul"]
    forwards = [e for e in run.case.events("forward") if e["object"].endswith("Tagger")]
    assert {e["outputs_require_grad"] for e in forwards} == {True}


def test_the_phase_that_a_new_optimizer_begins_is_traced_too(new_patient):
    script = """
    import torch, torch.nn as nn
    torch.manual_seed(0)
    model = nn.Linear(4, 2)
    for _ in range(2):
        opt = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(20):
            for _ in range(2):
                loss = model(torch.randn(8, 4)).square().mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
    """
    run = new_patient(script).observed(options={"budget": 1e6})

    assert sorted({node["w"] for node in run.case.trace}) == [1, 26, 32]
    assert len(flows(run.case)) == 3, "each window was traced once, from its first operation on"
