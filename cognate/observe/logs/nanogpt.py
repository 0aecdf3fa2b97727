"""The nanoGPT family: nanoGPT's printed lines, the log.txt of build-nanogpt, and the lines of modded-nanogpt.

nanoGPT prints two train losses: that of every logged iteration, and an estimate over many batches beside each
validation loss. They are different series.
"""

from __future__ import annotations

import re
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import find_text, read_text, signature

FORMAT = "the log of nanoGPT and its kin"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_VALUE = r"([-+]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|nan|inf))"
_ITER = re.compile(rf"^iter (\d+): loss {_VALUE}(?:, lr {_VALUE})?")
_EVAL = re.compile(rf"^step (\d+): train loss {_VALUE}, val loss {_VALUE}")
_LOGGED = re.compile(rf"^(\d+) (train|val|hella) {_VALUE}\s*$")
_MODDED = re.compile(r"^s?:?step:(\d+)/(\d+) (.*)")
_PAIR = re.compile(rf"\b((?:train|val)_loss|tel|lr):{_VALUE}")
_SIGN = re.compile("|".join(one.pattern for one in (_ITER, _EVAL, _LOGGED)) + r"|^s?:?step:\d+/\d+ .*\b(?:val|train)_loss:")
fits = signature(_SIGN)


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with at least two such lines."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the lines. Raises CaseError where there is none."""
    return read_text(file, "nanogpt log", parse)


def parse(line: str) -> Told | None:
    """What a line tells, or None."""
    found = _LOGGED.match(line)
    if found is not None:
        name = "hellaswag" if found[2] == "hella" else f"{found[2]}_loss"
        return Told([(name, float(found[3]))], float(found[1]))
    if found := _ITER.match(line):
        rate = [("lr", float(found[3]))] if found[3] else []
        return Told([("loss", float(found[2])), *rate], float(found[1]))
    if found := _EVAL.match(line):
        return Told([("train_loss", float(found[2])), ("val_loss", float(found[3]))], float(found[1]))
    if found := _MODDED.match(line):
        values = [(name, float(text)) for name, text in _PAIR.findall(found[3])]
        return Told(values, float(found[1]), float(found[2])) if values else None
    return None
