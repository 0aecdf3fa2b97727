"""Pieces of documents to rows of equal length, and rows to batches."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cognate.train.batch import IGNORED, Batch
from cognate.train.data.encode import Encoded


class Rows:
    """R rows of T tokens, ready to be picked: what a batch holds is computed once, here.

    `planes` is (4, R, T) int32: tokens, targets, positions, document numbers; (3, R, T) where each row is one document.
    """

    def __init__(self, planes: Tensor) -> None:
        self.planes = planes
        self.scored: list[int] = (planes[1] != IGNORED).sum(dim=1).tolist()

    def __len__(self) -> int:
        return len(self.scored)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The rows `indices`, int64, in that order."""
        picked = self.planes[:, torch.from_numpy(np.asarray(indices, dtype=np.int64))].long()  # (4 or 3, B, T)
        documents = picked[3] if len(picked) > 3 else None
        return Batch(picked[0], picked[1], picked[2], documents, sum(self.scored[index] for index in indices))


def rows(encoded: Encoded, sequence: int, pad: int, pack: bool) -> Rows:
    """The pieces in rows of `sequence` tokens: several to a row where `pack`, else one, padded on the right.

    Padding after packed documents counts as a document of its own, so that a mask by document number keeps it apart as well.
    """
    lengths = encoded.lengths
    row_of, column_of = _fit(lengths, sequence) if pack else (np.arange(len(lengths)), np.zeros(len(lengths), np.int64))
    count = int(row_of.max()) + 1
    columns = np.arange(sequence)
    used = np.bincount(row_of, weights=lengths, minlength=count).astype(np.int64)[:, None]  # (R, 1)

    planes: NDArray[np.int32] = np.empty((4 if pack else 3, count, sequence), np.int32)
    planes[0], planes[1] = pad, IGNORED
    planes[2] = np.where(columns >= used, columns - used, 0) if pack else columns
    if pack:
        planes[3] = np.bincount(row_of, minlength=count)[:, None]

    ends = np.cumsum(lengths)
    within = np.arange(len(encoded.tokens)) - np.repeat(ends - lengths, lengths)  # (N,): the token's place in its piece
    places = np.repeat(row_of * sequence + column_of, lengths) + within  # (N,): its place in the plane
    for plane, values in zip(planes, (encoded.tokens, encoded.targets, within), strict=False):
        plane.reshape(-1)[places] = values
    if pack:
        planes[3].reshape(-1)[places] = np.repeat(_numbers(row_of, column_of), lengths)
    return Rows(torch.from_numpy(planes))


def efficiency(encoded: Encoded, packed: Rows) -> float:
    """The share of the rows' places that hold a token of a document."""
    return len(encoded.tokens) / int(packed.planes[0].numel())


def _fit(lengths: NDArray[np.int64], sequence: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and first column of each piece, by best fit in decreasing order of length.

    Best fit decreasing needs at most 11/9 of the fewest possible rows, plus a constant (Johnson et al., SIAM J. Comput. 3, 1974).
    Rows are kept by the room left in them, so that the tightest one that fits is found by bisection.
    """
    row_of: NDArray[np.int64] = np.empty(len(lengths), np.int64)
    column_of: NDArray[np.int64] = np.empty(len(lengths), np.int64)
    sizes: list[int] = []  # the amounts of room for which there is a row, ascending
    open_rows: dict[int, list[int]] = {}
    count = 0
    for piece in np.argsort(-lengths, kind="stable").tolist():
        length = int(lengths[piece])
        at = bisect_left(sizes, length)
        if at == len(sizes):
            room, row, count = sequence, count, count + 1
        else:
            room = sizes[at]
            row = open_rows[room].pop()
            if not open_rows[room]:
                del sizes[at]
        row_of[piece], column_of[piece] = row, sequence - room
        left = room - length
        if left:
            waiting = open_rows.setdefault(left, [])
            if not waiting:
                insort(sizes, left)
            waiting.append(row)
    return row_of, column_of


def _numbers(row_of: NDArray[np.int64], column_of: NDArray[np.int64]) -> NDArray[np.int64]:
    """The number of each piece in its row, from the left."""
    order = np.lexsort((column_of, row_of))
    counts = np.bincount(row_of)
    numbers: NDArray[np.int64] = np.empty(len(row_of), np.int64)
    numbers[order] = np.arange(len(row_of)) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers
