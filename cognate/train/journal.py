"""`training.jsonl`: one JSON line for each logged step, evaluation, resumption and ending, written at once and never rewritten.

    {"step": 20, "loss": 2.3, "grad_norm": 0.9, "clipped": false, "lr": 3e-4, "tokens": 40960, "seconds": 1.9, …statistics}
    {"step": 100, "val_loss": 2.1, "best": true, …statistics with val_ before them}
    {"resumed_at": 100}      what came before this line about steps after 100 is superseded
    {"step": 300, "ended": "finished"}

A number that is not finite is null, and its name stands in the line's list `non_finite`.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "training.jsonl"


class Journal:
    """The open journal of a run. Each line is one `write` to an O_APPEND descriptor: it survives the death of the process."""

    def __init__(self, run: Path, done: int) -> None:
        """Go on after `done` steps: lines about later steps, from a course that was given up, are marked as superseded."""
        file = run / FILE
        run.mkdir(parents=True, exist_ok=True)
        used, torn = file.exists() and file.stat().st_size > 0, file.exists() and not _ends_whole(file)
        self._descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        if torn:  # a machine that went down in the middle of a line
            os.write(self._descriptor, b"\n")
        if used:
            self.write({"resumed_at": done})

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record. Raises OSError where the disk is full."""
        os.write(self._descriptor, (json.dumps(_plain(record)) + "\n").encode())

    def sync(self) -> None:
        """Wait until the lines are on the disk."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def read(run: Path) -> list[dict[str, Any]]:
    """The records that hold: without superseded ones, lines that were torn, and the marks of resumption."""
    records: list[dict[str, Any]] = []
    with (run / FILE).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if not isinstance(record, dict):
                continue
            if "resumed_at" in record:
                resumed = record["resumed_at"]
                records = [kept for kept in records if kept["step"] <= resumed and "ended" not in kept]
            elif "step" in record:
                records.append(record)
    return records


def _plain(record: Mapping[str, Any]) -> Mapping[str, Any]:
    wrong = [name for name, value in record.items() if isinstance(value, float) and not math.isfinite(value)]
    return {**record, **dict.fromkeys(wrong), "non_finite": wrong} if wrong else record


def _ends_whole(file: Path) -> bool:
    with file.open("rb") as stream:
        if not stream.seek(0, os.SEEK_END):
            return True
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) == b"\n"
