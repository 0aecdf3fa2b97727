"""Small training loops, each with its own fault: run by test_live_facts.py, which says what must be seen in each."""

import copy
import random

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(7)
random.seed(8)
np.random.seed(seed=9)
X, Y = torch.randn(16, 6), torch.randint(0, 3, (16,))
TOKENS = (torch.arange(10)[None] + torch.arange(8)[:, None]) % 12 + 1


def net():
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))


def sgd(model, lr=0.01):
    return torch.optim.SGD(model.parameters(), lr=lr)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.gate = nn.Linear(6, 3), nn.Linear(6, 1)

    def forward(self, x):
        open_ = (torch.sigmoid(self.gate(x)) > 0.5).float()
        return self.body(x) * (1 + open_)


def cut_graph():  # first, because the first windows of a run are traced
    model = Gated()
    optimizer = sgd(model)
    for _ in range(3):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()


def in_order():
    model = net()
    optimizer = sgd(model)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    for _ in range(4):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1e-3)
        optimizer.step()
        scheduler.step()


def never_cleared():
    model = net()
    optimizer = sgd(model)
    for _ in range(3):
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()


def cleared_by_hand():
    model = net()
    optimizer = sgd(model)
    for _ in range(3):
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()
        for p in model.parameters():
            p.grad = None


def cleared_in_place():
    model = net()
    optimizer = sgd(model)
    for _ in range(3):
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()
        for p in model.parameters():
            p.grad.zero_()


def cleared_by_model():
    model = net()
    optimizer = sgd(model)
    for _ in range(3):
        model.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()


def cleared_before_step():
    model = net()
    optimizer = sgd(model)
    for _ in range(2):
        F.cross_entropy(model(X), Y).backward()
        optimizer.zero_grad()
        optimizer.step()


def kinds_of_scores():
    model = net()
    optimizer = sgd(model)
    for _ in range(2):
        optimizer.zero_grad()
        logits = model(X)
        a = F.cross_entropy(logits, Y)
        b = F.cross_entropy(logits.softmax(-1), Y)
        c = F.nll_loss(logits.log_softmax(-1), Y)
        d = F.cross_entropy(logits, Y, reduction="none").mean()
        F.mse_loss(logits, torch.zeros(16, 1))
        (a * 0 + b * 0.25 - c + d).backward()
        optimizer.step()


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(14, 8), nn.Linear(8, 14)

    def forward(self, tokens):
        return self.head(self.embed(tokens))


def offsets():
    model = Decoder()
    optimizer = sgd(model)
    optimizer.zero_grad()
    logits = model(TOKENS)
    losses = [
        F.cross_entropy(logits[:, :-1].reshape(-1, 14), TOKENS[:, 1:].reshape(-1)),
        F.cross_entropy(logits.transpose(1, 2), TOKENS),
        F.cross_entropy(logits[:, :-1].transpose(1, 2), torch.cat([TOKENS[:, 2:], TOKENS[:, :1]], 1)),
    ]
    sum(losses).backward()
    optimizer.step()


def padding():
    model = Decoder()
    optimizer = sgd(model)
    padded = TOKENS.clone()
    for row in range(8):
        padded[row, 9 - row % 5 :] = 0
    optimizer.zero_grad()
    logits = model(padded)[:, :-1].transpose(1, 2)
    (F.cross_entropy(logits, padded[:, 1:]) + F.cross_entropy(logits, padded[:, 1:], ignore_index=0)).backward()
    optimizer.step()


def modes():
    model = net()
    optimizer = sgd(model)
    model.train()
    F.cross_entropy(model(X), Y).backward()
    optimizer.step()
    model.eval()
    with torch.no_grad():
        model(X[:4])
    model.train()
    with torch.no_grad():
        model(X[:4])


def ownership():
    model = net()
    optimizer = torch.optim.SGD([*model[0].parameters(), *model[3].parameters()], lr=0.01)
    model[3] = nn.Linear(8, 3)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()


class Loose(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 6)
        self.rest = [nn.Linear(6, 3)]
        self.scale = torch.ones(3, requires_grad=True)

    def forward(self, x):
        return self.rest[0](self.first(x)) * self.scale


def unregistered():
    model = Loose()
    optimizer = sgd(model)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()


def by_reference():
    model = net()
    optimizer = sgd(model)
    best = model.state_dict()
    F.cross_entropy(model(X), Y).backward()
    optimizer.step()
    model.load_state_dict(best)


def by_copy():
    model = net()
    optimizer = sgd(model)
    best = copy.deepcopy(model.state_dict())
    F.cross_entropy(model(X), Y).backward()
    optimizer.step()
    model.load_state_dict(best)


def schedule_never_stepped():
    model = net()
    optimizer = sgd(model)
    torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=99)
    F.cross_entropy(model(X), Y).backward()
    optimizer.step()


def loaders():
    plain = DataLoader(TensorDataset(X, Y), batch_size=8)
    mixed = DataLoader(TensorDataset(X, Y), batch_size=8, shuffle=True, drop_last=True)
    for loader in (plain, plain, mixed):
        for _ in loader:
            pass


def not_finite():
    model = nn.Linear(6, 3)
    optimizer = sgd(model)
    for factor in (1.0, float("nan"), float("inf"), float("-inf")):
        optimizer.zero_grad()
        (F.cross_entropy(model(X), Y) * factor).backward()
        for p in model.parameters():
            p.grad.nan_to_num_(0.0, 0.0, 0.0)
        optimizer.step()


def nothing_moves():
    model = net()
    optimizer = sgd(model, lr=0.0)
    optimizer.zero_grad()
    F.cross_entropy(model(X), Y).backward()
    optimizer.step()


def seeds_in_the_loop():
    for _ in range(3):
        torch.manual_seed(11)


for section in (
    cut_graph,
    in_order,
    never_cleared,
    cleared_by_hand,
    cleared_in_place,
    cleared_by_model,
    cleared_before_step,
    kinds_of_scores,
    offsets,
    padding,
    modes,
    ownership,
    unregistered,
    by_reference,
    by_copy,
    schedule_never_stepped,
    loaders,
    not_finite,
    nothing_moves,
    seeds_in_the_loop,
):
    section()
    print("end of", section.__name__)
