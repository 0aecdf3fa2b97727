"""A small language model with dropout, rows of unequal length, and the task that joins them: what the trainer's tests train."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cognate.errors import CognateError  # noqa: F401 - for the processes that tests start
from cognate.train.loop import fit
from cognate.train.options import TrainOptions

# Two processes add up alike only with as many threads.
torch.set_num_threads(1)

VOCABULARY, IGNORED = 11, -100


@dataclass
class ToyBatch:
    tokens: Tensor  # (B, T)
    targets: Tensor  # (B, T)

    def to(self, device):
        return ToyBatch(self.tokens.to(device), self.targets.to(device))


class ToyRows:
    """Each row holds as many scored tokens as `lengths` says; the rest of the batch's width is padding."""

    def __init__(self, lengths, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.rows = [torch.randint(0, VOCABULARY, (length + 1,), generator=generator) for length in lengths]

    def __len__(self):
        return len(self.rows)

    def batch(self, indices):
        rows = [self.rows[index] for index in indices]
        width = max(len(row) - 1 for row in rows) or 1
        tokens, targets = torch.zeros(len(rows), width, dtype=torch.int64), torch.full((len(rows), width), IGNORED)
        for place, row in enumerate(rows):
            tokens[place, : len(row) - 1], targets[place, : len(row) - 1] = row[:-1], row[1:]
        return ToyBatch(tokens, targets)


class ToyModel(nn.Module):
    def __init__(self, dropout=0.2, tied=True, width=8, seed=0):
        super().__init__()
        torch.manual_seed(seed)
        self.embedding = nn.Embedding(VOCABULARY, width)
        self.hidden, self.norm, self.dropout = nn.Linear(width, width), nn.LayerNorm(width), nn.Dropout(dropout)
        self.head = nn.Linear(width, VOCABULARY, bias=False)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens):
        x = self.embedding(tokens)  # (B, T, D)
        return self.head(x + self.dropout(torch.tanh(self.hidden(self.norm(x)))))  # (B, T, V)


class ToyTask:
    shown = ("hits",)

    def loss(self, model, batch):
        logits = model(batch.tokens).flatten(0, 1)
        targets = batch.targets.flatten()
        loss = F.cross_entropy(logits, targets, reduction="sum", ignore_index=IGNORED)
        return loss, {"hits": (logits.argmax(-1) == targets).sum()}

    def weight(self, batch):
        return int((batch.targets != IGNORED).sum())

    def evaluate(self, model, batch):
        assert not model.training
        loss, sums = self.loss(model, batch)
        return {"loss": loss, **sums}


def options(**changes):
    values = {
        "steps": 12,
        "micro_batch": 2,
        "effective_batch": 4,
        "learning_rate": 1e-2,
        "evaluate_every": 4,
        "patience": 0,
        "checkpoint_every": 3,
        "log_every": 1,
        "keep_last": 10,
        "device": "cpu",
    }
    return TrainOptions(**{**values, **changes})


def train(run, *, resume=None, model=None, task=None, rows=None, dropout=0.2, observers=(), files=None, **changes):
    """The standard run: the tests change one thing each."""
    model = ToyModel(dropout) if model is None else model
    rows = ToyRows([3, 9, 1, 5, 7, 2, 8, 4, 6, 2]) if rows is None else rows
    resume = None if resume is None else Path(resume)
    task, held_out = task or ToyTask(), ToyRows([4, 6, 1], seed=1)
    outcome = fit(model, task, rows, held_out, options(**changes), Path(run), resume=resume, observers=observers, files=files)
    return outcome, model


def environment():
    """What a process of its own needs to find this file and the package."""
    here = Path(__file__).parent
    path = os.pathsep.join([str(here), str(here.parent.parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}


PYTHON = sys.executable
