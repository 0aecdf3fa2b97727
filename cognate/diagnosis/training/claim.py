"""A claim about a training run, and what its measured values say to it.

The values come from a file that anybody may have written: each is looked at before it is believed, and shown as it is.
"""

from __future__ import annotations

import math
from typing import Any, Literal

from cognate.diagnosis.model import Feature

LONGEST = 200  # characters of a foreign value that are shown
MOST = 1e15  # nothing that is counted here is as many
CLOSE = 1e-3  # relative: sums in float32 and rounded values agree far better, another formula does not


def at(values: Any, path: str) -> Any:
    """The value at the dotted `path` of nested mappings; None where there is none."""
    for key in path.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values


def real(value: Any) -> float | None:
    """`value` where it is a finite number, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        return None
    return float(value) if math.isfinite(value) else None


def shown(value: Any) -> str:
    """`value` as a reader wants it: null is "not measured", numbers are short, strange things are cut."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if real(value) is None:
        return plain(value)
    if isinstance(value, int) and abs(value) < MOST:
        return f"{value:,}"
    return f"{value:.4g}"


def percent(value: Any) -> str:
    """A share in percent, or what stands in its place."""
    number = real(value)
    return shown(value) if number is None or abs(number) > 100 else f"{number:.1%}"


def plain(value: Any) -> str:
    """Foreign text on one line, of bounded length. Backticks become quotes: what stands between two is not escaped as prose."""
    text = " ".join(str(value).replace("`", "'").split())
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def pairs(value: Any) -> list[tuple[int, float | None]]:
    """[[step, loss], …] as far as it is that; a loss that is not finite is None."""
    rows = value if isinstance(value, list) else []
    return [
        (int(step), real(row[1]))
        for row in rows
        if isinstance(row, list) and len(row) == 2 and (step := real(row[0])) is not None and 0 <= step < MOST
    ]


class Claim:
    """Collects what is known about one of the fixes. Its mark follows: one fault contradicts it, one doubt leaves it open."""

    def __init__(self, fix: int, name: str, values: Any) -> None:
        self.fix, self.name, self.values = fix, name, values
        self._facts: list[str] = []
        self._faults: list[str] = []
        self._doubts: list[str] = []

    def say(self, text: str) -> None:
        """A measured fact."""
        self._facts.append(text)

    def fault(self, text: str) -> None:
        """A measured fact that contradicts the claim."""
        self._faults.append(text)

    def doubt(self, text: str) -> None:
        """Why the claim is not shown, where it is not contradicted either."""
        self._doubts.append(text)

    def raw(self, path: str) -> Any:
        """The value at `path` as it stands."""
        return at(self.values, path)

    def number(self, path: str, low: float = -math.inf, high: float = math.inf) -> float | None:
        """The number at `path`; None with a doubt where it was not measured or cannot be."""
        value = self.raw(path)
        found = real(value)
        if value is None:
            self.doubt(f"{path} was not measured")
        elif found is None or not low <= found <= high:
            self.doubt(f"{path} is {shown(value)}, which cannot be")
            return None
        return found

    def count(self, path: str) -> int | None:
        """The same for a number of things."""
        value = self.raw(path)
        if isinstance(value, float):
            self.doubt(f"{path} is {shown(value)}, which cannot be")
            return None
        found = self.number(path, 0, MOST)
        return None if found is None else int(found)

    def feature(self) -> Feature:
        """The claim with what it has earned."""
        status: Literal["shown", "contradicted", "open"]
        status = "contradicted" if self._faults else "open" if self._doubts else "shown"
        return Feature(self.fix, self.name, status, "; ".join(dict.fromkeys([*self._faults, *self._doubts, *self._facts])))
