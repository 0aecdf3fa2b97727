"""Logs that hold several runs: choosing one of them by its name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cognate.errors import CaseError

_SHOWN = 5


def chosen(file: Path, known: Sequence[str], run: str | None) -> int:
    """The index of `run` in `known`, or of the only run there is. Raises CaseError where that is none or several."""
    if not known:
        raise CaseError(f"{file} holds no run that logged a number: give the log of a run that trained.")
    if run is None and len(known) == 1:
        return 0
    hits = [index for index, name in enumerate(known) if run is not None and name == run]
    hits = hits or [index for index, name in enumerate(known) if run and run in name]
    if len(hits) == 1:
        return hits[0]
    some = ", ".join(known[:_SHOWN]) + (f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else "")
    if run is None:
        raise CaseError(f"{file} holds {len(known)} runs ({some}): name one with --run NAME.")
    count = f"{len(hits)} runs" if hits else "no run"
    raise CaseError(f"{file} holds {count} called {run!r}: it has {some}.")
