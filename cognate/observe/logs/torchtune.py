"""torchtune's DiskLogger, `Step 3 | loss:1.2 lr:2e-05 …`, and Composer's FileLogger, `[BATCH][step=2]: { "k": v }`."""

from __future__ import annotations

import re
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import find_text, number, read_text, signature

FORMAT = "the log of torchtune's DiskLogger or Composer's FileLogger"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_DISK = re.compile(r"^Step (\d+) \| (?=\S+:\S)")
_FILE = re.compile(r'^\[(?:\w+)\]\[(?:step|batch|epoch)=(\d+)\]:?\s*(?=\{\s*")')
_QUOTED = re.compile(r'"([^"]{1,120})":\s*"?([-+]?[\w.+-]+)')
_SIGN = re.compile(f"{_DISK.pattern}|{_FILE.pattern}")
# Of the machine, not of the training.
_OTHERS = re.compile(r"memory|tokens_per_second|throughput|^time/|duration|wall_clock|remaining")
fits = signature(_SIGN)


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with at least two such lines."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the lines. Raises CaseError where none has a number."""
    return read_text(file, "torchtune or composer log", parse)


def parse(line: str) -> Told | None:
    """What a line tells, or None."""
    if found := _DISK.match(line):
        pairs = [(name, text) for name, _, text in (pair.rpartition(":") for pair in line[found.end() :].split())]
    elif found := _FILE.match(line):
        pairs = _QUOTED.findall(line, found.end())
    else:
        return None
    values = [(name, number(text)) for name, text in pairs if name and not _OTHERS.search(name)]
    known = [(name, value) for name, value in values if value is not None]
    return Told(known, float(found[1])) if known else None
