"""What an ordinary script printed or logged: lines such as "epoch 3: train loss 0.41, val loss 0.52", in any style.

The last of all readers. A file is taken for such output where several of its lines tell a loss or another metric of
training, and where it is no table, no JSON and no source code.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from cognate.case.line_metrics import read_line
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.shapes import Shapes
from cognate.observe.logs.textlog import find_text, read_text

FORMAT = "the output of a training script"
GENERIC = 3  # after the readers of anything that has a form of its own
# Structured text belongs to other readers, or tells of training only in passing.
_OTHERS = {
    *(".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".xml", ".html", ".htm"),
    *(".py", ".pyi", ".ipynb", ".md", ".rst", ".tex", ".sh", ".c", ".cpp", ".cu", ".h", ".js", ".ts", ".lock", ".patch", ".diff"),
}
_CODE = re.compile(r"(?:def|class|import|from|return|if|for|static|void|#include)\b|[}{]")
_LEAST = 3  # lines with a metric


def find(path: Path) -> Path | None:
    """The text file that `path` is, or the largest such file of the folder, whose lines tell metrics."""
    if path.is_file() and path.suffix.lower() in _OTHERS:
        return None
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the lines of `file` that tell metrics. Raises CaseError where none does."""
    return read_text(file, "script output", Shapes())


def fits(lines: Sequence[str]) -> bool:
    """Whether these lines are the output of a training script."""
    if not lines or _structured(lines):
        return False
    shapes = Shapes()
    counted = 0
    losses: set[float] = set()
    for line in lines:
        told = shapes(line)
        if told is not None and told.values:
            counted += told.step is not None or told.epoch is not None
            losses.update(value for name, value in told.values if "loss" in name)
            if counted >= _LEAST:
                return True
    # Without a counter, or in a log that has just begun: several losses that are no lines of source code.
    code = sum(bool(_CODE.match(line)) for line in lines)
    return not code and (len(losses) >= _LEAST or (counted > 0 and len(lines) <= 10))


def _structured(lines: Sequence[str]) -> bool:
    """Whether the lines are records of JSON, or cells between commas under a header."""
    first = lines[0].strip()
    if first.startswith(("{", "[")):
        sample = [line for line in lines[:20] if line.strip()]
        if sum(map(_is_json, sample)) > len(sample) // 2 or first in ("{", "["):
            return True
    for mark in (",", "\t", ";"):
        counts = [line.count(mark) for line in lines[:10]]
        if counts[0] and len(counts) > 1 and len(set(counts[:-1])) == 1 and not read_line(lines[1]).metrics:
            return True
    return False


def _is_json(line: str) -> bool:
    try:
        return isinstance(json.loads(line), (dict, list))
    except (ValueError, RecursionError):
        return False
