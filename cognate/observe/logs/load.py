"""Reads a log through its parser: small ones into rows, large ones a piece at a time into columns."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from cognate.observe.logs import text
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.table import Log, Record, run_of


class Parser(Protocol):
    """Makes numbers of whole lines. It keeps what it must know from one piece to the next."""

    def records(self, piece: bytes, last: bool) -> Iterator[Record]:
        """The numbers of each line; a line without any is left out."""

    def frame(self, piece: bytes) -> Any:
        """The same as a polars frame of floats; None where the piece needs the care of `records`."""

    def close(self) -> None:
        """Called once after the last piece."""


def load(log: Log, parser: Parser) -> ForeignRun:
    """The run in the file of `log`. Raises CaseError where that cannot be read or holds no number."""
    if size_of(log.file) > text.SMALL:
        from cognate.observe.logs.frames import run_of_pieces

        return run_of_pieces(log, parser)
    pieces = list(text.pieces(log.file, log.losses))
    records = [record for piece in pieces for record in parser.records(piece, piece is pieces[-1])]
    parser.close()
    return run_of(log, records)


def size_of(file: Path) -> int:
    """Bytes of `file`; 0 where they cannot be known."""
    try:
        return file.stat().st_size
    except OSError:
        return 0
