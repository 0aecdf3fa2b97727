"""Accelerate: `Accelerator(log_with=CognateTracker())`, beside other trackers or alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from accelerate.tracking import GeneralTracker, on_main_process

from cognate.integrations.guard import Options, guarded
from cognate.integrations.logged_run import LoggedRun


class CognateTracker(GeneralTracker):
    """Records what `accelerator.log` is given as a case, judges it, and says what is wrong in one line a finding.

    See `Options` for `folder`, `every` and `stop_on`. Accelerate leaves the loop to the script, so a stop is asked for by
    `should_stop`, which is true on the main process alone: pass it on by `accelerator.set_trigger()` and `check_trigger()`.
    """

    name = "cognate"
    requires_logging_directory = False
    main_process_only = True

    def __init__(self, folder: str | Path | None = None, every: int = 10, stop_on: Literal["error"] | None = None) -> None:
        super().__init__()
        self.options = Options(folder, every, stop_on)
        self.run: LoggedRun | None = None
        self._settings: dict[str, Any] = {}

    @property
    def tracker(self) -> LoggedRun | None:
        """The run that is recorded, None before the first row."""
        return self.run

    @property
    def should_stop(self) -> bool:
        """Whether an error-level finding says that the run is doomed; never true without `stop_on`."""
        return self.run is not None and self.run.should_stop

    @on_main_process
    @guarded
    def store_init_configuration(self, values: dict[str, Any]) -> None:
        """The settings of the run, into the facts of its case."""
        self._settings = {str(key): value for key, value in values.items() if isinstance(value, (str, int, float, bool))}

    @on_main_process
    @guarded
    def log(self, values: dict[str, Any], step: int | None = None, **kwargs: Any) -> None:
        """A row; without `step`, rows are counted."""
        if self.run is None:
            hparams = {"hparams": self._settings} if self._settings else {}
            self.run = LoggedRun("accelerate tracker", self.options, "row" if step is None else "step", **hparams)
        self.run.log(values, step)

    @on_main_process
    @guarded
    def finish(self) -> None:
        """Judge a last time."""
        if self.run is not None:
            self.run.finish()
