"""What the recorder says of data on a real run: scored tokens, what workers carry, packed rows, orders that come again."""

from __future__ import annotations

from pathlib import Path

import pytest

from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}

SCRIPT = """
import random

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, DistributedSampler

BOS, EOS, PAD, SEP = 0, 1, 2, 3


class Replies(Dataset):
    def __init__(self):
        self.rng = random.Random(4)
        drawn = random.Random(0)
        self.rows = [[drawn.randint(4, 11) for _ in range(drawn.randint(2, 4))] for _ in range(64)]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, i):
        reply = [t + 1 for t in self.rows[i]]
        if self.rng.random() < 0.1:
            reply = reply[::-1]
        ids = [BOS, *self.rows[i], SEP, *reply, EOS]
        labels = [-100] * (len(self.rows[i]) + 2) + reply + [EOS]
        return ids, labels


def collate(items):
    width = max(len(ids) for ids, _ in items)
    ids = torch.tensor([row + [PAD] * (width - len(row)) for row, _ in items])
    labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in items])
    return ids, labels


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn, self.head = nn.Embedding(16, 24), nn.GRU(24, 24, batch_first=True), nn.Linear(24, 16)

    def forward(self, ids):
        return self.head(self.rnn(self.embed(ids))[0])


torch.manual_seed(0)
rows = Replies()
sampler = DistributedSampler(rows, num_replicas=1, rank=0)
loader = DataLoader(rows, batch_size=16, sampler=sampler, collate_fn=collate, num_workers=2)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for epoch in range(3):
    for ids, labels in loader:
        loss = F.cross_entropy(net(ids)[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    prompt = [BOS, 5, 6, SEP]
    net.eval()
    with torch.no_grad():
        for _ in range(3):
            prompt.append(int(net(torch.tensor([prompt]))[0, -1].argmax()))
    net.train()
print(loss.item())
"""
FAULTS = {
    "data-pad-is-eos-masked": [("PAD, SEP = 0, 1, 2, 3", "PAD, SEP = 0, 1, 1, 3"), ("reply + [EOS]\n", "reply + [-100]\n")],
    "data-double-bos": [("ids = [BOS, *", "ids = [BOS, BOS, *"), ("+ 2) + reply", "+ 3) + reply")],
    "data-prompt-mask-misaligned": [("+ 2) + reply +", "+ 3) + reply[1:] +")],
    "data-truncation-drops-target": [("return ids, labels\n\n\ndef", "return ids[:9], labels[:9]\n\n\ndef")],
    "data-all-labels-masked": [("+ 2) + reply + [EOS]", "+ 3 + len(reply))")],
}
ORDER = {"data-epoch-order-repeats", "data-worker-rng-identical"}


def fired(case):
    names = (*FAULTS, *ORDER, "data-unigram-plateau", "data-packing-leak")
    return {name for name in names if run_rule(RULES[name], case).status == "fired"}


@pytest.fixture(scope="module")
def healthy(new_patient):
    text = SCRIPT.replace("    for ids, labels in loader", "    sampler.set_epoch(epoch)\n    for ids, labels in loader")
    return text.replace("self.rng.random() < 0.1", "torch.rand(()) < 0.1")


@pytest.mark.parametrize("name", [None, *sorted(FAULTS)])
def test_each_fault_of_rows_is_named_and_no_other(new_patient, healthy, name):
    text = healthy
    for old, new in FAULTS.get(name, []):
        assert old in text
        text = text.replace(old, new)
    run = new_patient(text).observed()
    assert (run.code, run.complaints) == (0, [])
    assert fired(run.case) == ({name} if name else set())


def test_an_order_that_comes_again_and_workers_that_draw_the_same(new_patient):
    run = new_patient(SCRIPT).observed()
    assert (run.code, run.complaints) == (0, [])
    carried = run.case.events("call", name="loader_iter")[0]["generators"]
    assert {path: found["kind"] for path, found in carried.items()} == {"rng": "random.Random"}
    assert fired(run.case) == ORDER
    place = run_rule(RULES["data-worker-rng-identical"], run.case).findings[0].location
    assert "self.rng = random.Random(4)" in Path(run.case.folder / "source" / "train.py").read_text().splitlines()[place.line - 1]
