"""What a run keeps on disk, on any number of processes: one of them writes, all of them learn whether it worked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from cognate.errors import UsageError
from cognate.train import checkpoint, randomness
from cognate.train.checkpoint import CheckpointError
from cognate.train.distributed import Group
from cognate.train.options import TrainOptions
from cognate.train.tensors import Optimizers

# What a run needs in order to go on; the random generators' states are one text for each process.
NEEDED = {"step", "tokens", "seconds", "stopping", "random", "options"}


class Keeper:
    """Saves and restores a run in the folder `run`; `files` are kept beside each checkpoint."""

    def __init__(self, run: Path, group: Group, files: Mapping[str, bytes]) -> None:
        self.run = run
        self._group, self._files = group, files

    def begin(
        self, model: nn.Module, optimizers: Optimizers, options: TrainOptions, resume: Path | None
    ) -> dict[str, Any] | None:
        """Restore weights and optimizers from `resume`, and give the rest of its state; None where a new run begins."""
        self._model, self._optimizers = model, optimizers
        if resume is None:
            if any((self.run / checkpoint.FOLDER).glob("step-*")):
                raise UsageError(f"{self.run} holds a run already: choose another folder, or go on with --resume {self.run}.")
            return None
        found = checkpoint.load(checkpoint.latest(resume))
        missing = NEEDED - set(found.state)
        if missing:
            raise CheckpointError(
                f"{found.folder} lacks the {', '.join(sorted(missing))} that a run goes on from: start a new run."
            )
        options.check_resumable(found.state["options"])
        found.into(model, optimizers)
        return found.state

    def clear(self, best_step: int | None) -> None:
        """Remove what is no part of the run: half-written checkpoints, and a best one that it does not know (any more)."""
        if self._group.writes:
            checkpoint.begin(self.run, best_step)

    def restore_randomness(self, state: Mapping[str, Any] | None, seed: int) -> None:
        """Put this process's random generators where they were; seed them in a new run, or where fewer processes were saved."""
        texts = state["random"] if state is not None else []
        if self._group.rank < len(texts):
            randomness.restore(json.loads(texts[self._group.rank]), self._group.device)
        else:
            randomness.seed(seed, self._group.rank)

    def save(self, progress: Mapping[str, Any], options: TrainOptions, best: bool) -> None:
        """Save the run after `progress["step"]` steps, and prune. Raises CheckpointError on every process."""
        texts = self._group.gather(json.dumps(randomness.capture(self._group.device)))
        state = {**progress, "options": options.to_dict(), "random": texts}
        failure: CheckpointError | None = None
        if self._group.writes:
            try:
                checkpoint.save(self.run, progress["step"], self._model, self._optimizers, state, self._files, best)
                checkpoint.prune(self.run, progress["step"], options.keep_last)
            except CheckpointError as error:
                failure = error
        (failed,) = self._group.sum_counts(int(failure is not None))
        if failure is not None:
            raise failure
        if failed:
            raise CheckpointError(
                f"Another process could not save the checkpoint of step {progress['step']}: its message says why."
            )

    def pointed_at(self, name: str) -> Path | None:
        """The checkpoint that is the `last` or the `best`."""
        return checkpoint.pointed_at(self.run, name)
