"""The learning-rate experiment as rules ask about it: how far the loss of one batch falls at each multiple of the rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

from cognate.case.case import Case


@dataclass(frozen=True)
class Range:
    """One `lr_range` probe."""

    step: int
    rate: float
    optimizer: str
    losses: dict[float, tuple[float | None, ...]]  # by factor: before each step and after the last

    @property
    def start(self) -> float:
        """The loss before any step."""
        return next((values[0] for values in self.losses.values() if values and values[0] is not None), 0.0)

    def end(self, factor: float) -> float | None:
        """The level at the end of an arm: the mean of its last third; None where it was not finite or the arm was not made."""
        values = self.losses.get(factor, ())
        last = values[-max(2, len(values) // 3) :]
        return None if not last or any(v is None for v in last) else mean(v for v in last if v is not None)

    def fall(self, factor: float) -> float:
        """The share of the starting loss that an arm took away; negative where it rose, -inf where it was not finite."""
        end = self.end(factor)
        return float("-inf") if end is None or not self.start else (self.start - end) / abs(self.start)

    @property
    def best(self) -> float:
        """The factor whose arm ended lowest."""
        return max(self.losses, key=lambda factor: (self.fall(factor), factor))


def ranges(case: Case) -> Iterator[Range]:
    """The learning-rate experiments of the case."""
    for row in case.probe("lr_range"):
        result = row["result"]
        losses = {float(factor): tuple(values) for factor, values in result["losses"].items()}
        if losses and all(values and values[0] is not None for values in losses.values()):
            yield Range(int(row["step"]), float(result["lr"]), str(result["optimizer"]), losses)


def arms(found: Range) -> str:
    """The arms in words: `×0.1 1.2 → 0.8, ×1 1.2 → 3.4`."""
    shown = []
    for factor in sorted(found.losses):
        end = found.end(factor)
        shown.append(f"×{factor:g} → {'not finite' if end is None else f'{end:.4g}'}")
    return f"from {found.start:.4g}: {', '.join(shown)}"
