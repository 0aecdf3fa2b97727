"""What the data hands to the model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

IGNORED = -100  # the target that is not scored: PyTorch's own default `ignore_index`


@dataclass
class Batch:
    """B rows of T tokens, and what is to be predicted after each."""

    tokens: Tensor  # (B, T) int64
    targets: Tensor  # (B, T) int64: the token that follows, IGNORED at prompts, padding and document borders
    positions: Tensor  # (B, T) int64: restart at 0 with each document
    documents: Tensor | None  # (B, T) int64: number of the document in its row; None where each row is one document
    scored: int  # targets that are not IGNORED, counted where the batch was made: no device has to be asked

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on `device`."""
        documents = None if self.documents is None else self.documents.to(device, non_blocking=True)
        return Batch(
            self.tokens.to(device, non_blocking=True),
            self.targets.to(device, non_blocking=True),
            self.positions.to(device, non_blocking=True),
            documents,
            self.scored,
        )
