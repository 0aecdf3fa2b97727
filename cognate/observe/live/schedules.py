"""Learning-rate schedulers: what was planned, on which optimizer, and when each step was really made."""

from __future__ import annotations

import inspect
import weakref
from typing import Any

from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import LRScheduler

from cognate.observe.live.patch import wrap
from cognate.observe.live.recorder import Recorder, guarded

# The numbers that say how long a schedule is meant to last, by the names torch gives them.
HORIZON = "T_max T_0 T_mult total_steps total_iters step_size step_size_up gamma milestones max_lr eta_min factor patience"


class Schedules:
    """Wraps construction and `step` of every scheduler class that defines its own."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.all: weakref.WeakSet[Any] = weakref.WeakSet()
        self.steps: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.described: dict[str, dict[str, Any]] = {}
        self.building = 0
        recorder.at_finish.append(guarded(recorder, "schedulers")(self._finish))

    def install(self) -> None:
        """Wrap them."""
        for cls in vars(lr_scheduler).values():
            if inspect.isclass(cls) and issubclass(cls, LRScheduler):
                if "step" in vars(cls):
                    wrap(cls, "step", self._observed_step)
                if "__init__" in vars(cls):
                    wrap(cls, "__init__", self._observed_init)

    def _observed_init(self, original: Any) -> Any:
        note = guarded(self.recorder, "scheduler")(self._constructed)

        def init(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            self.building += 1
            try:
                original(scheduler, *args, **kwargs)
            finally:
                self.building -= 1
            if self.building == 0:
                note(scheduler)

        return init

    def _observed_step(self, original: Any) -> Any:
        note = guarded(self.recorder, "scheduler step")(self._stepped)

        def step(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            if self.building:  # the first step that every constructor makes, and steps within steps
                return original(scheduler, *args, **kwargs)
            self.building += 1
            try:
                note(scheduler)
                return original(scheduler, *args, **kwargs)
            finally:
                self.building -= 1

        return step

    def _constructed(self, scheduler: Any) -> None:
        self.all.add(scheduler)
        site = self.recorder.sites.here(4)
        facts = self._facts(scheduler)
        self.described[facts["object"]] = facts
        self.recorder.event("scheduler", site, **facts)

    def _facts(self, scheduler: Any) -> dict[str, Any]:
        plan: dict[str, Any] = {}
        for name in HORIZON.split():
            value = getattr(scheduler, name, None)
            if isinstance(value, (int, float)):
                plan[name] = value
            elif name == "milestones" and value is not None:
                plan[name] = sorted(value)
        for function in getattr(scheduler, "lr_lambdas", ()):
            # transformers' get_*_schedule hands torch a partial whose keywords are the plan.
            keywords = getattr(function, "keywords", None) or {}
            plan.update({name: value for name, value in keywords.items() if isinstance(value, (int, float))})
        optimizer = getattr(scheduler, "optimizer", None)
        return {
            "object": self.recorder.label(scheduler, "scheduler"),
            "cls": type(scheduler).__name__,
            "optimizer": self.recorder.label(optimizer, "optimizer") if optimizer is not None else None,
            "plan": plan,
        }

    def _stepped(self, scheduler: Any) -> None:
        label = self.recorder.label(scheduler, "scheduler")
        self.steps[scheduler] = self.steps.get(scheduler, 0) + 1
        self.described.setdefault(label, self._facts(scheduler))["steps"] = self.steps[scheduler]
        self.recorder.call("scheduler_step", self.recorder.sites.here(4), object=label, cls=type(scheduler).__name__)

    def _finish(self) -> None:
        self.recorder.event("schedules", schedules=list(self.described.values()))
