"""The validation loss: every validation row, each scored token with the same weight."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from cognate.errors import UsageError
from cognate.train.distributed import Group
from cognate.train.protocols import Rows, Task


def evaluate(
    model: nn.Module, task: Task, rows: Rows, micro_batch: int, group: Group, precision: AbstractContextManager[None]
) -> dict[str, float]:
    """The means over all scored tokens of what `Task.evaluate` sums, by name, the same on every process.

    The model is in evaluation mode meanwhile, without gradients. Raises UsageError where no validation token is scored.
    """
    starts = range(group.rank * micro_batch, len(rows), group.world * micro_batch)
    sums: dict[str, Tensor] = {}
    tokens = 0
    # Not inference mode: what a model caches in it could not be used by the training that goes on.
    with evaluating(model), torch.no_grad(), precision:
        for start in starts:
            batch = rows.batch(range(start, min(start + micro_batch, len(rows))))
            tokens += task.weight(batch)
            if group.device.type != "cpu":
                batch = batch.to(group.device)
            for name, value in task.evaluate(model, batch).items():
                sums[name] = sums[name] + value if name in sums else value.double()
    return means(sums, tokens, group)


def means(sums: dict[str, Tensor], tokens: int, group: Group) -> dict[str, float]:
    """Sums of every process over the scored tokens of all, by name. A process without a batch does not know the names yet."""
    names = next((text for text in group.gather("\t".join(sums)) if text), "").split("\t")
    (total,) = group.sum_counts(tokens)
    if not total:
        raise UsageError("No token of the validation rows is scored: give validation rows that hold something to predict.")
    zero = torch.zeros((), dtype=torch.float64, device=group.device)
    table = group.sum(torch.stack([sums.get(name, zero).double() for name in names]))
    return dict(zip(names, (table / total).tolist(), strict=True))


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards the mode that each module was in: a part may have been frozen on purpose."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
