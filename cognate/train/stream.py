"""Which rows each step sees: a pure function of the seed and the step, the same for any number of processes."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cognate.errors import UsageError
from cognate.train.options import TrainOptions
from cognate.train.protocols import Rows


class Stream:
    """Endless batches of `rows`: each epoch is a new permutation, and a batch may reach from one epoch into the next.

    Step g (from 0) takes the positions g·E to (g+1)·E of all epochs laid end to end, where E is the effective batch. Position p
    is row `permutation(seed, p // N)[p % N]` of N rows. So nothing but the step is to be restored, every row is seen once an
    epoch, and a run may go on with another number of processes or another micro-batch.
    """

    def __init__(self, rows: Rows, options: TrainOptions, rank: int = 0, world: int = 1) -> None:
        if not len(rows):
            raise UsageError("The training data holds no rows: give a source with at least one.")
        self.rows = rows
        self._length = len(rows)
        self._effective = options.effective_batch
        self._micro = options.micro_batch
        self._seed = options.seed
        share = options.accumulate(world) * options.micro_batch
        self._first, self._end = rank * share, (rank + 1) * share  # this process's part of the effective batch
        self._orders: dict[int, NDArray[np.int64]] = {}

    def order(self, epoch: int) -> NDArray[np.int64]:
        """The permutation of `epoch`: (N,). An array, because a slice of it costs next to nothing in every step."""
        if epoch not in self._orders:
            # The CPU generator looks at the lower 32 bits of a seed only: a hash fills them from both numbers.
            mixed = hashlib.blake2b(f"{self._seed}/{epoch}".encode(), digest_size=4).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(mixed, "little"))
            self._orders = {kept: order for kept, order in self._orders.items() if kept == epoch - 1}
            self._orders[epoch] = torch.randperm(self._length, generator=generator).numpy()
        return self._orders[epoch]

    def indices(self, step: int) -> NDArray[np.int64]:
        """The rows of this process in step `step` (from 0), in order: (share,)."""
        position, end = step * self._effective + self._first, step * self._effective + self._end
        found = []
        while position < end:
            epoch, offset = divmod(position, self._length)
            found.append(self.order(epoch)[offset : offset + end - position])
            position += len(found[-1])
        return found[0] if len(found) == 1 else np.concatenate(found)

    def batches(self, step: int) -> list[Any]:
        """This process's micro-batches of step `step` (from 0)."""
        rows, micro = self.indices(step), self._micro
        return [self.rows.batch(rows[start : start + micro]) for start in range(0, len(rows), micro)]
