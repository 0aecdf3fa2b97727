"""Random tokens: nothing can be learnt from them, so that the first loss must be ln(vocabulary)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cognate.errors import UsageError
from cognate.train.data.document import DataOptions
from cognate.train.data.packing import Rows

ROWS = 1_024


def generate(options: DataOptions, vocabulary: int | None) -> tuple[Rows, Rows, int]:
    """Training and validation rows of tokens drawn uniformly from the whole vocabulary, every one scored; `limit` rows in all.

    The third value counts the rows that were drawn for training and left out, because they are held out as well.

    Raises UsageError where the vocabulary is not known or the sides would be empty.
    """
    if vocabulary is None:
        raise UsageError("Synthetic data is drawn from the model's vocabulary: give the model's size before the data.")
    count = options.limit or ROWS
    held_out = min(count - 1, max(1, round(count * options.validation)))
    drawn = np.random.default_rng(options.seed).integers(vocabulary, size=(count, options.sequence + 1), dtype=np.int32)
    validation = drawn[:held_out]
    known = {row.tobytes() for row in validation}
    training = drawn[held_out:][[row.tobytes() not in known for row in drawn[held_out:]]]
    if not len(training):
        raise UsageError(f"{count} rows of {options.sequence} tokens are all alike: draw longer rows (--sequence).")
    return _rows(training), _rows(validation), count - held_out - len(training)


def _rows(drawn: NDArray[np.int32]) -> Rows:
    positions = np.broadcast_to(np.arange(drawn.shape[1] - 1, dtype=np.int32), drawn[:, 1:].shape)
    return Rows(torch.from_numpy(np.stack([drawn[:, :-1], drawn[:, 1:], positions])))  # planes: (3, R, T)
