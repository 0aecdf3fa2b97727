"""What Keras' `fit` prints, of any version: bars that overwrite themselves, or one line an epoch (`verbose=2`).

Within an epoch the bar shows running means, so an epoch counts once: the last state of its bar, which has the
validation beside it. An epoch that was not finished is told only where there is nothing better, or it holds a NaN.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import TextLog, find_text, number

FORMAT = "the printed log of Keras"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_EPOCH = re.compile(r"^\s*Epoch (\d+)/(\d+)\s*$")
_BAR = re.compile(r"^\s*(\d+)/(\d+|Unknown)\s*(?:\[[=>. ]{0,60}\]|[━╸╺─]{0,60}) ?-? .*?- ([A-Za-z].*)$")
_PAIR = re.compile(r"([A-Za-z_][\w./-]{0,60}): {0,4}([-+]?(?:\d[\w.+-]{0,40}|nan|inf))")
_REDUCED = re.compile(r"ReduceLROnPlateau reducing learning rate to")
_NOT_METRICS = ("ETA", "ms/step", "s/step")


def fits(lines: Sequence[str]) -> bool:
    """Whether there is a heading of an epoch and a bar below it."""
    headings = any(_EPOCH.match(line) for line in lines)
    return headings and any(_BAR.match(line) for line in lines)


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with headings of epochs and bars."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the epochs. Raises CaseError where there is none."""
    log = _Bars(file)
    log.read()
    log.close()
    facts = {"evaluations": log.evaluated, "lr_reduced": log.reduced}
    return log.run({name: value for name, value in facts.items() if value})


class _Bars(TextLog):
    def __init__(self, file: Path) -> None:
        super().__init__(file, "keras printed log", self._parse)
        self.evaluated: list[dict[str, float]] = []  # by `evaluate`, outside of training
        self.reduced = 0
        self._epoch: tuple[float, float] | None = None
        self._values: dict[str, float] = {}
        self._whole = False

    def _parse(self, line: str) -> Told | None:
        found = _EPOCH.match(line)
        if found is not None:
            told = self._commit()
            self._epoch = float(found[1]), float(found[2])
            return told or Told([])
        if "/" not in line and "Epoch" not in line:
            return None
        bar = _BAR.match(line)
        if bar is None:
            self.reduced += bool(_REDUCED.search(line))
            return None
        values = {name: number(text) for name, text in _PAIR.findall(bar[3]) if name not in _NOT_METRICS}
        known = {name: value for name, value in values.items() if value is not None}
        whole = bar[1] == bar[2]
        if self._epoch is None:
            if whole and known:
                self.evaluated[9:] = [known]
            return Told([])
        self._values.update(known)
        self._whole = self._whole or whole or "val_loss" in known
        if any(name.startswith("val_") for name in known):
            return self._commit()
        return Told([])

    def _commit(self) -> Told | None:
        """The epoch that ends here, if it says enough."""
        epoch, values, whole = self._epoch, self._values, self._whole
        self._epoch, self._values, self._whole = None, {}, False
        odd = any(not math.isfinite(value) for value in values.values())
        if epoch is None or not values or not (whole or odd or not len(self.points)):
            return None
        return Told(list(values.items()), None, None, *epoch)

    def close(self) -> None:
        """The log ends: the epoch under way is the last one."""
        told = self._commit()
        if told is not None:
            self.points.add(told)
