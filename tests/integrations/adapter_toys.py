"""A tiny regression that every framework can train, the case that an adapter left, and the snippets of the docs."""

import re
from pathlib import Path

import torch

from cognate.case.case import Case

DOCS = (Path(__file__).parents[2] / "docs" / "integrations.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", DOCS, re.MULTILINE | re.DOTALL)


def only_case(place) -> Case:
    (folder,) = (place / "runs").iterdir()
    return Case.open(folder)


def samples(rows=64):
    """Inputs and targets of a linear problem, the same ones every time."""
    made = torch.Generator().manual_seed(1)
    inputs = torch.randn(rows, 4, generator=made)
    return inputs, inputs @ torch.tensor([[1.0], [-2.0], [0.5], [3.0]])


def snippet(number, names):
    """Run a snippet of the docs with what it takes as given."""
    exec(SNIPPETS[number], names)
    return names


class Regression(torch.nn.Module):
    """A linear model that returns its loss, NaN from the call `poisoned` in training on."""

    def __init__(self, poisoned=None):
        super().__init__()
        torch.manual_seed(0)
        self.layer = torch.nn.Linear(4, 1)
        self.poisoned, self.calls = poisoned, 0

    def forward(self, x, labels):
        loss = torch.nn.functional.mse_loss(self.layer(x), labels)
        self.calls += self.training
        if self.poisoned is not None and self.calls >= self.poisoned:
            loss = loss * float("nan")
        return {"loss": loss}
