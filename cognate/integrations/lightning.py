"""Lightning `Trainer(callbacks=[CognateCallback()])`, from `lightning` or from `pytorch_lightning`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from cognate.integrations.guard import LOG, Options, guarded, said
from cognate.integrations.logged_run import LoggedRun
from cognate.observe.logs.roles import assign

_PACKAGES = ("lightning.pytorch", "pytorch_lightning")


class CognateCallback:
    """Records what the module logs as a case, judges it, and says what is wrong in one line a finding.

    Training is read at Lightning's own `log_every_n_steps`; validation of the sanity check is ignored. Only the first
    process writes and judges. See `Options` for `folder`, `every` and `stop_on`; a stop sets `trainer.should_stop` on
    every process.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> CognateCallback:
        """A callback of the package whose Trainer the script uses; both packages define a class of their own."""
        return object.__new__(_of_package(cls))

    def __init__(self, folder: str | Path | None = None, every: int = 10, stop_on: Literal["error"] | None = None) -> None:
        self.options = Options(folder, every, stop_on)
        self.run: LoggedRun | None = None
        self._seen: dict[str, Any] = {}

    def __reduce__(self) -> Any:
        # The class is made on demand, so strategies that spawn processes cannot find it by its name.
        return CognateCallback, (self.options.folder, self.options.every, self.options.stop_on)

    @guarded
    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """A new case for each call of `fit`."""
        self._seen = {}
        if trainer.is_global_zero:
            limits = {"max_steps": trainer.max_steps, "max_epochs": trainer.max_epochs}
            limits = {name: limit for name, limit in limits.items() if limit is not None and limit >= 0}
            self.run = LoggedRun("lightning callback", self.options, **limits)

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """What was logged by the step, where Lightning itself would log it."""
        if trainer.log_every_n_steps and (batch_idx + 1) % trainer.log_every_n_steps == 0:
            self._record(trainer, dict(trainer.callback_metrics), outputs)
            self._stop(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """What was logged of the epoch."""
        # Asked for on every process, whatever became of ours: means over processes are computed here.
        self._record(trainer, dict(trainer.callback_metrics))

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """What validation logged."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._record(trainer, dict(trainer.callback_metrics))
            self._stop(trainer)

    @guarded
    def _record(self, trainer: Any, metrics: dict[str, Any], outputs: Any = None) -> None:
        # Lightning hands out all that was ever logged. What is not new lies where it lay: no value needs to be read to know.
        fresh = {name: value for name, value in metrics.items() if name not in self._seen or not _same(value, self._seen[name])}
        self._seen = metrics
        if self.run is None:
            return
        # Of a value that is logged by step and by epoch, Lightning keeps the latest one under the bare name as well.
        values = {name: value for name, value in fresh.items() if not {f"{name}_step", f"{name}_epoch"} & set(fresh)}
        if outputs is not None:
            values.update(self._of_step(trainer, outputs, values))
        self.run.log(values, trainer.global_step, trainer.current_epoch)

    def _of_step(self, trainer: Any, outputs: Any, values: dict[str, Any]) -> dict[str, Any]:
        """The learning rate, and the loss that `training_step` returned where it logs none."""
        roles = assign(list(values)).values()
        found: dict[str, Any] = {}
        if "lr" not in roles and trainer.optimizers:
            found["lr"] = trainer.optimizers[0].param_groups[0]["lr"]
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        if loss is not None and "loss" not in roles:
            found["loss"] = loss.detach() * trainer.accumulate_grad_batches  # Lightning has divided it
        return found

    def _stop(self, trainer: Any) -> None:
        """Stop on all processes or on none; every process comes here at the same batch."""
        if not self.options.stop_on:
            return
        wish = self.run is not None and self.run.should_stop
        try:
            if trainer.strategy.reduce_boolean_decision(wish, all=False):
                trainer.should_stop = True
        except Exception as error:
            LOG.warning("cognate: the run could not be stopped (%s)", said(error))

    @guarded
    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        """The training crashed or was interrupted."""
        self._end(finished=False, error=exception)

    @guarded
    def on_fit_end(self, trainer: Any, pl_module: Any) -> None:
        """Judge a last time."""
        self._end(finished=True)

    def _end(self, finished: bool, error: BaseException | None = None) -> None:
        if self.run is not None:
            self.run.finish(finished, error)
            self.run = None


def _same(value: Any, other: Any) -> bool:
    """Whether both are views of one memory; the older is kept, so that no new value can have taken its place."""
    return value is other or (hasattr(value, "data_ptr") and hasattr(other, "data_ptr") and value.data_ptr() == other.data_ptr())


def _of_package(cls: type[Any]) -> type[Any]:
    """`cls` as a subclass of the Callback of each package that is imported, or of the first one that is installed."""
    loaded = [name for name in _PACKAGES if name in sys.modules]
    if not loaded:
        loaded = [_import_any()]
    bases = tuple(import_module(name).Callback for name in loaded)
    if issubclass(cls, bases):
        return cls
    return type(cls.__name__, (cls, *bases), {"__module__": cls.__module__, "__doc__": cls.__doc__})


def _import_any() -> str:
    try:
        import_module(_PACKAGES[0])
    except ImportError:
        import_module(_PACKAGES[1])
        return _PACKAGES[1]
    return _PACKAGES[0]
