"""Iteration lines of Megatron-LM, Megatron-DeepSpeed, GPT-NeoX and NeMo: `iteration 20/ 1000 | lm loss: 1.2E+01 | …`.

An iteration whose gradients overflowed is skipped: it has no gradient norm, often no loss, and a count of its own.
"""

from __future__ import annotations

import re
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import TextLog, find_text, number, signature

FORMAT = "the printed log of Megatron or NeMo"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_LINE = re.compile(r"(?:[Tt]raining epoch\s+(\d+),\s*)?\biteration:?\s+(\d+)\s*/\s*(\d+)\s*\|")
_VALIDATION = re.compile(r"\b(validation|test) (?:loss|results) at (?:iteration\s+(\d+)|the end of training)\b[^|]*\|")
_CELL = re.compile(r"([A-Za-z][\w%()./-]{0,40}(?: [\w%()./-]{1,40}){0,6}) {0,9}: {0,9}([-+]?(?:\d[\w.+-]{0,40}|nan|inf|NaN))")
_SKIPPED, _NAN = "number of skipped iterations", "number of nan iterations"
_COUNTS = re.compile(r"samples|time|tokens|TFLOPs|throughput|batch.size|world|memory|sequence length|timing", re.IGNORECASE)
fits = signature(_LINE, least=1)


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with iteration lines."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the iteration and validation lines. Raises CaseError where there is none."""
    log = _Iterations(file)
    log.read()
    return log.run({name: count for name, count in log.lost.items() if count})


class _Iterations(TextLog):
    def __init__(self, file: Path) -> None:
        super().__init__(file, "megatron printed log", self._parse)
        self.lost = {"skipped_iterations": 0, "nan_iterations": 0}

    def _parse(self, line: str) -> Told | None:
        if "iteration" not in line and "at the end of training" not in line:
            return None
        found = _LINE.search(line)
        if found is None:
            return _validation(line)
        values = []
        step = float(found[2])
        for name, text in _CELL.findall(line, found.end()):
            value = number(text)
            if value is None:
                continue
            if name == "global_step":
                step = value  # NeMo's iteration begins anew with each epoch
            elif name in (_SKIPPED, _NAN):
                self.lost["skipped_iterations" if name == _SKIPPED else "nan_iterations"] += int(value) if value == value else 0
                values.append((name, value))
            elif not _COUNTS.search(name):
                values.append((name, value))
        epoch = float(found[1]) if found[1] else None
        return Told(values, step, float(found[3]), epoch) if values else None


def _validation(line: str) -> Told | None:
    found = _VALIDATION.search(line)
    if found is None:
        return None
    cells = ((name, number(text)) for name, text in _CELL.findall(line, found.end()))
    values = [(f"{found[1]} {name.removesuffix(' value')}", value) for name, value in cells if value is not None]
    return Told(values, float(found[2]) if found[2] else None)
