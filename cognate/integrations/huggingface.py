"""Hugging Face `Trainer(callbacks=[CognateCallback()])`, and everything built on it: TRL, Axolotl, LLaMA-Factory."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from transformers import TrainerCallback

from cognate.integrations.guard import Options, agreed, guarded
from cognate.integrations.logged_run import LoggedRun

# The row at the end has means over the whole run and speeds: no points of a curve.
_SUMMARY = "train_runtime"
_SPEEDS = ("_runtime", "_per_second", "_preparation_time")


class CognateCallback(TrainerCallback):
    """Records what the Trainer logs as a case, judges it, and says what is wrong in one line a finding.

    Only the first process writes and judges. See `Options` for `folder`, `every` and `stop_on`; a stop sets
    `control.should_training_stop` on every process.
    """

    def __init__(self, folder: str | Path | None = None, every: int = 10, stop_on: Literal["error"] | None = None) -> None:
        self.options = Options(folder, every, stop_on)
        self.run: LoggedRun | None = None

    @guarded
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """A new case for each call of `train`."""
        if self.run is not None:  # the last training raised
            self.run.finish(finished=False)
        if state.is_world_process_zero:
            self.run = LoggedRun("huggingface callback", self.options, max_steps=state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Every row that the Trainer logs, on every process."""
        self._record(state, logs or {})
        if self.options.stop_on and agreed(self.run is not None and self.run.should_stop, args.device):
            control.should_training_stop = True

    @guarded
    def _record(self, state: Any, logs: dict[str, Any]) -> None:
        if self.run is None:
            return
        if _SUMMARY in logs:
            # Now, because trackers that a finding is written to end their runs before our on_train_end.
            self._end(state)
            return
        values = {name: value for name, value in logs.items() if name != "epoch" and not name.endswith(_SPEEDS)}
        self.run.log(values, state.global_step, logs.get("epoch"))

    @guarded
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Judge a last time."""
        self._end(state)

    def _end(self, state: Any) -> None:
        if self.run is not None:
            self.run.facts.update(global_step=state.global_step, stopped_early=state.global_step < state.max_steps)
            self.run.finish()
            self.run = None
