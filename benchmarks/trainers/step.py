"""One variant of the reference model's training step: `python -m trainers.step ours|naive fp32|bf16 ROWS TOKENS [PRESET]`.

Asked, it takes one whole step (forward, backward, clipping, optimizer) and answers with its CPU seconds and with the peak of the
resident memory above what weights and optimizer state occupy between two steps.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from cognate.model.config import preset
from cognate.model.model import CognateModel
from cognate.train import optim
from cognate.train.batch import Batch
from cognate.train.objective import LanguageModelling
from cognate.train.options import TrainOptions
from trainers import naive
from trainers.worker import memory, serve


def random_batch(vocabulary: int, rows: int, tokens: int) -> Batch:
    """Tokens drawn at random, all scored."""
    drawn = torch.randint(vocabulary, (rows, tokens + 1))
    positions = torch.arange(tokens).expand(rows, tokens)
    return Batch(drawn[:, :-1].contiguous(), drawn[:, 1:].contiguous(), positions, None, rows * tokens)


class Step:
    """A model, its optimizer, and one way to make a step."""

    def __init__(self, variant: str, precision: str, name: str) -> None:
        self.model = CognateModel(preset(name))
        options = TrainOptions()
        self.half = precision == "bf16"
        if variant == "ours":
            self.objective = lambda batch: LanguageModelling().loss(self.model, batch)[0]
            self.optimizer = optim.build(self.model, options)["adamw"]
        else:
            self.objective = lambda batch: naive.objective(self.model, batch)
            self.optimizer = naive.optimizer(self.model, options)

    def take(self, batch: Batch) -> None:
        """One step on `batch`."""
        with torch.autocast("cpu", dtype=torch.bfloat16) if self.half else nullcontext():
            loss = self.objective(batch) / batch.scored
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()


def main() -> None:
    """Serve."""
    variant, precision, rows, tokens, *name = sys.argv[1:]
    torch.manual_seed(0)
    torch.set_num_threads(1)
    step = Step(variant, precision, name[0] if name else "phase1")
    vocabulary = step.model.config.vocabulary
    # The first step makes the optimizer's state, and imports what it needs; on few tokens it makes no peak of its own.
    step.take(random_batch(vocabulary, 1, 8))
    between = memory("VmRSS")
    batch = random_batch(vocabulary, int(rows), int(tokens))

    def measure(_: str) -> dict[str, Any]:
        started = time.process_time()
        step.take(batch)
        return {"seconds": time.process_time() - started, "peak": memory("VmHWM") - between}

    serve(measure)


if __name__ == "__main__":
    main()
