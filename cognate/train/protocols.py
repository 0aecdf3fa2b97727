"""What the trainer asks of the outside: a task, rows, and whoever listens. It knows no model and no data format."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn


class Task(Protocol):
    """How a model is scored on a batch. All values are sums over scored tokens, so that batches of any size add up."""

    shown: Sequence[str]  # statistics that a person wants to watch beside the loss

    def loss(self, model: nn.Module, batch: Any) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective summed over scored tokens (differentiable scalar), and detached sums of statistics by name."""
        ...

    def weight(self, batch: Any) -> int:
        """The number of scored tokens, known on the CPU."""
        ...

    def evaluate(self, model: nn.Module, batch: Any) -> dict[str, Tensor]:
        """Sums over the batch's scored tokens without gradient, `loss` among them."""
        ...


class Rows(Protocol):
    """Rows that are batched by their indices. On an accelerator the batch needs a method `to(device)`."""

    def __len__(self) -> int: ...

    def batch(self, indices: Sequence[int] | NDArray[np.int64]) -> Any:
        """One batch of the rows at `indices`, in that order."""
        ...


# Called on the writing process with each record that goes into the journal, right after it was written.
Observer = Callable[[Mapping[str, Any]], None]
