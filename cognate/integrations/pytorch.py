"""`cognate.watch`: for a training loop of one's own."""

from __future__ import annotations

import atexit
import sys
from types import TracebackType
from typing import Any

from cognate.integrations.guard import Options, guarded, rank
from cognate.integrations.logged_run import LoggedRun


class Watch:
    """A run that is being watched: call `log` where the loop prints, or with every step.

    It is a context manager, so that the case says how the run ended; without `with`, the end of the process counts.
    """

    def __init__(self, model: Any, optimizer: Any, options: Options) -> None:
        self.run: LoggedRun | None = None
        self.step = 0
        self._optimizer = optimizer
        self._options = options
        self._waiting: list[tuple[dict[str, Any], int, float | None]] = []
        self._begin(model)

    @guarded
    def _begin(self, model: Any) -> None:
        if rank():
            return
        facts = {"model": type(model).__name__, "parameters": sum(one.numel() for one in model.parameters())}
        self.run = LoggedRun("cognate.watch", self._options, "step" if self._optimizer is not None else "row", **facts)
        if self._optimizer is not None:
            self._hook = self._optimizer.register_step_post_hook(self._stepped)
        # After the run's own, so that it is called before: rows may wait.
        atexit.register(self._at_exit)

    def _stepped(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.step += 1

    @property
    def should_stop(self) -> bool:
        """Whether an error-level finding says that the run is doomed; never true without `stop_on`.

        It is the wish of rank zero and known there alone: loops of several ranks broadcast it as any decision of one rank.
        """
        return self.run is not None and self.run.should_stop

    @guarded
    def log(self, step: int | None = None, epoch: float | None = None, **values: Any) -> None:
        """Record `values` (`loss`, `val_loss`, `grad_norm`, or any name): numbers, or tensors of one element.

        `step` counts optimizer steps; by default those of the optimizer, else calls. Tensors are copied where they are and
        read a batch at a time, so that no step waits for its device.
        """
        if self.run is None:
            return
        here = step if step is not None else self.step if self._optimizer is not None else self.step + 1
        self.step = here
        if self._optimizer is not None:
            values.setdefault("lr", self._optimizer.param_groups[0]["lr"])
        # A running sum is changed in place later on.
        kept = {name: value.detach().clone() if hasattr(value, "detach") else value for name, value in values.items()}
        self._waiting.append((kept, here, epoch))
        if len(self._waiting) >= self._options.every or not any(map(_elsewhere, kept.values())):
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for values, step, epoch in waiting:
            assert self.run is not None
            self.run.log(values, step, epoch)

    def close(self) -> None:
        """Judge a last time; a second call does nothing."""
        self._end(None)

    @guarded
    def _end(self, error: BaseException | None) -> None:
        if self.run is None:
            return
        atexit.unregister(self._at_exit)
        self._flush()
        self.run.finish(error is None, error)
        if self._optimizer is not None:
            self._hook.remove()

    def _at_exit(self) -> None:
        self._end(getattr(sys, "last_value", None))

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end(error)


def _elsewhere(value: Any) -> bool:
    """Whether reading `value` waits for a device."""
    return hasattr(value, "device") and getattr(value.device, "type", "cpu") != "cpu"
