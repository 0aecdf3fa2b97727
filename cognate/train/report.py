"""Where a run's records go: the journal, the display, and whoever observes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from cognate.train.checkpoint import CheckpointError
from cognate.train.distributed import Group
from cognate.train.journal import FILE, Journal
from cognate.train.options import TrainOptions
from cognate.train.progress import progress
from cognate.train.protocols import Observer


class Reporter:
    """Passes each record on, on the one process that writes."""

    def __init__(
        self, run: Path, options: TrainOptions, group: Group, done: int, shown: Collection[str], observers: Sequence[Observer]
    ) -> None:
        self._run = run
        self._observers = observers
        self._journal: Journal | None = None
        if group.writes:
            try:
                self._journal = Journal(run, done)
            except OSError as error:
                raise self._unwritten(error) from error
        self._display = progress(options.steps, done, group.writes, shown)

    def record(self, record: Mapping[str, Any]) -> None:
        """Write, show and hand on a logged step or an evaluation. Raises CheckpointError where the journal cannot be written."""
        if self._journal is None:
            return
        self._write(record)
        self._display.show(record)
        for observer in self._observers:
            observer(record)

    def sync(self) -> None:
        """Wait until the journal is on the disk: a checkpoint relies on the lines before it."""
        if self._journal is not None:
            self._journal.sync()

    def end(self, record: Mapping[str, Any], sentence: str) -> None:
        """Write and hand on how the run ended, and say it."""
        if self._journal is None:
            return
        self._write(record)
        self._display.say(sentence)
        for observer in self._observers:
            observer(record)

    def close(self) -> None:
        """Close the journal and the display."""
        self._display.close()
        if self._journal is not None:
            self._journal.close()

    def _write(self, record: Mapping[str, Any]) -> None:
        assert self._journal is not None
        try:
            self._journal.write(record)
        except OSError as error:
            raise self._unwritten(error) from error

    def _unwritten(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"{self._run / FILE} cannot be written ({error.strerror}): make room or choose another folder, and go on with "
            f"--resume {self._run}."
        )
