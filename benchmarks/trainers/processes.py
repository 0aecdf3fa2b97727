"""The trainer on as many processes as `torchrun` starts: `torchrun … -m trainers.processes STEPS FOLDER`.

Each process writes its CPU seconds for a step to FOLDER/RANK, the threads that gradients travel by included, the first steps not.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from cognate.model.config import preset
from cognate.model.model import CognateModel
from cognate.train.batch import Batch
from cognate.train.loop import fit
from cognate.train.objective import LanguageModelling
from cognate.train.options import TrainOptions
from trainers.step import random_batch

PRESET, ROWS, TOKENS = "small", 4, 128  # in each process
SETTLED = 2  # steps that are not timed: DistributedDataParallel lays out its buckets anew after the first


class Random:
    """Rows of random tokens that notes the CPU time at which each batch is asked for."""

    def __init__(self, vocabulary: int) -> None:
        self.all = random_batch(vocabulary, 64, TOKENS)
        self.clock: list[float] = []

    def __len__(self) -> int:
        return len(self.all.tokens)

    def batch(self, indices: Sequence[int]) -> Batch:
        """The rows at `indices`."""
        self.clock.append(time.process_time())
        rows = list(indices)
        return Batch(self.all.tokens[rows], self.all.targets[rows], self.all.positions[rows], None, len(rows) * TOKENS)


def main() -> None:
    """Train, and leave the time behind."""
    steps, folder, rank, world = int(sys.argv[1]), Path(sys.argv[2]), os.environ["RANK"], int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(1)
    config = preset(PRESET)
    rows = Random(config.vocabulary)
    options = TrainOptions(
        steps=steps + SETTLED + 1,
        micro_batch=ROWS,
        effective_batch=ROWS * world,
        evaluate_every=0,
        checkpoint_every=0,
        device="cpu",
    )
    fit(CognateModel(config), LanguageModelling(), rows, None, options, folder / "run")
    (folder / rank).write_text(str((rows.clock[-1] - rows.clock[SETTLED]) / steps), encoding="ascii")


if __name__ == "__main__":
    main()
