"""When the validation loss says that it is enough."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class EarlyStopping:
    """The lowest validation loss, and how many evaluations have passed since one that improved by more than `minimum_delta`.

    The lowest loss decides which checkpoint is the best; patience asks for more than `minimum_delta`, or it would never end on a
    curve that creeps. A loss that is not a number never counts as low.
    """

    patience: int  # 0: never stop
    minimum_delta: float
    best: float | None = None
    best_step: int | None = None
    reference: float | None = None
    waited: int = 0

    def update(self, step: int, loss: float) -> bool:
        """Take in the evaluation at `step`; true where it is the lowest loss so far."""
        if loss == loss and (self.reference is None or loss < self.reference - self.minimum_delta):
            self.reference, self.waited = loss, 0
        else:
            self.waited += 1
        lowest = loss == loss and (self.best is None or loss < self.best)
        if lowest:
            self.best, self.best_step = loss, step
        return lowest

    @property
    def exhausted(self) -> bool:
        """Whether the run should stop."""
        return 0 < self.patience <= self.waited

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps: the patience itself is the option of the run that reads it."""
        return {name: value for name, value in asdict(self).items() if name not in ("patience", "minimum_delta")}

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.best, self.best_step = state["best"], state["best_step"]
        self.reference, self.waited = state["reference"], state["waited"]
