"""The loss scale over the whole run: how often a GradScaler skipped the step, and where its scale went."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cognate.observe.live.recorder import Recorder, guarded

# Skipped steps whose number is kept; the rest are counted.
MOST_SKIPS = 200


class Scaling:
    """Counts a scaler's steps. A skipped one makes no optimizer step, so no window ends with it and no row tells of it."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.books: dict[str, dict[str, Any]] = {}
        self.optimizer_steps = 0
        recorder.at_finish.append(guarded(recorder, "GradScaler")(self._finish))

    def before_step(self) -> None:
        """Note where the count of optimizer steps stands."""
        self.optimizer_steps = self.recorder.step

    def after(self, name: str) -> Callable[..., None] | None:
        """The hook behind the scaler's method `name`, where one is needed."""
        hook = {"step": self._stepped, "update": self._updated}.get(name)
        if hook is None:
            return None
        note = guarded(self.recorder, f"GradScaler.{name}")(hook)
        return lambda result, scaler, *args, **kwargs: note(scaler) if scaler.is_enabled() else None

    def _stepped(self, scaler: Any) -> None:
        label = self.recorder.label(scaler, "scaler")
        book = self.books.get(label)
        if book is None:
            book = {"object": label, "steps": 0, "skipped": 0, "skips": [], "growth_interval": scaler.get_growth_interval()}
            book["first_scale"] = book["last_scale"] = book["least_scale"] = float(scaler.get_scale())
            self.books[label] = book
        book["steps"] += 1
        if self.recorder.step != self.optimizer_steps:
            return
        book["skipped"] += 1
        if len(book["skips"]) < MOST_SKIPS:
            book["skips"].append(book["steps"])
        if book["skipped"] & (book["skipped"] - 1) == 0:  # at powers of two: a killed run has told of most of them
            self._tell(book)

    def _updated(self, scaler: Any) -> None:
        """Follow the scale, where that is free: on a GPU reading it waits for the device."""
        book = self.books.get(self.recorder.label(scaler, "scaler"))
        held = getattr(scaler, "_scale", None)
        if book is not None and held is not None and (held.device.type == "cpu" or self.recorder.close):
            book["last_scale"] = scale = float(scaler.get_scale())
            book["least_scale"] = min(scale, book["least_scale"])

    def _tell(self, book: dict[str, Any]) -> None:
        self.recorder.event("scaler", self.recorder.sites.here(5), **{**book, "skips": [*book["skips"]]})

    def _finish(self) -> None:
        for book in self.books.values():
            self._tell(book)
