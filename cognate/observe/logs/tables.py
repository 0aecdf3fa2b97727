"""Tables printed as text, a row an epoch under a header of names: skorch, fastai, Ultralytics, and scripts of that style."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import TextLog, find_text, number

FORMAT = "a printed table of epochs"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_COUNTERS = ("epoch", "step", "iter", "iteration")
_NAME = re.compile(r"^[A-Za-z][\w./@()-]*$")
_OF = re.compile(r"^(\d+)/(\d+)$")
_NOT_METRICS = ("time", "dur", "gpu_mem", "instances", "size", "eta", "elapsed")


def fits(lines: Sequence[str]) -> bool:
    """Whether a header of names, one of them a loss or a metric, is followed by rows of numbers."""
    table = _Table()
    rows = sum(table.row(line) is not None for line in lines)
    return rows >= 2


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with such a table."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the table. Raises CaseError where it has no row."""
    table = _Table()
    log = TextLog(file, "printed table", table.row)
    log.read()
    return log.run()


class _Table:
    """The header that was seen last, and the rows below it."""

    def __init__(self) -> None:
        self._names: list[str] = []

    def row(self, line: str) -> Told | None:
        """What a row tells; None for the header, rulers, and lines that have not as many cells as the header."""
        cells = line.replace("|", " ").split()
        if not cells or len(cells) > 60:
            return None
        if cells[0].lower() in _COUNTERS and all(map(_NAME.match, cells)):
            self._names = cells if any("loss" in cell.lower() or "acc" in cell.lower() for cell in cells) else []
            return None
        if not self._names or not (cells[0].isdigit() or _OF.match(cells[0])):
            return None
        # Behind the numbers skorch marks what was saved, and a bar may follow.
        extra = cells[len(self._names) :]
        if len(cells) < len(self._names) - 1 or (
            extra and extra[0][:1].isdigit() and ":" not in extra[0] and "%" not in extra[0]
        ):
            return None
        return self._told(cells)

    def _told(self, cells: list[str]) -> Told | None:
        counted = _OF.match(cells[0])
        count, total = (float(counted[1]), float(counted[2])) if counted else (float(cells[0]), None)
        values = []
        for name, cell in zip(self._names[1:], cells[1:], strict=False):
            value = number(cell.rstrip("%"))
            if value is not None and name.lower() not in _NOT_METRICS:
                values.append((name, value / 100 if cell.endswith("%") else value))
        if not values:
            return None
        if self._names[0].lower() == "epoch":
            return Told(values, None, None, count, total)
        return Told(values, count, total)
