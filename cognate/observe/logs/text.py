"""The bytes of a text log as clean lines, a bounded piece at a time: any encoding, any line ending, torn or polluted."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cognate.errors import CaseError

HEAD = 1 << 16
# A line longer than this is no row of a log.
LONGEST_LINE = 1 << 20
# Larger files are read in pieces and by polars; for smaller ones the standard library is done before it is imported.
SMALL = 4 << 20
PIECE = 16 << 20


@dataclass
class Losses:
    """What could not be used or was out of place, counted by kind, with the first line of each kind."""

    counts: dict[str, int] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    lines: int = 0  # of the log that were left out

    def line(self, why: str, number: int) -> None:
        """Count line `number`, which is left out because it `why`."""
        self.lines += 1
        self.note(f"lines left out that {why}", number)

    def note(self, what: str, number: int = 0, count: int = 1) -> None:
        """Count something else, first seen in line `number`; 0 where that has no place."""
        if count > 0:
            self.counts[what] = self.counts.get(what, 0) + count
            if number:
                self.first.setdefault(what, number)

    def sentences(self) -> list[str]:
        """One line a kind."""
        said = []
        for what, count in self.counts.items():
            first = self.first.get(what)
            where = "" if first is None else f" (line {first})" if count == 1 else f" (the first is line {first})"
            said.append(f"{what}: {count:,}{where}")
        return said


def head(file: Path) -> str:
    """The first 64 KiB of `file` as text without a torn last line; "" where it cannot be read or is no text."""
    try:
        with file.open("rb") as stream:
            raw = stream.read(HEAD)
    except OSError:
        return ""
    text = _decoded(raw, _encoding(raw), final=len(raw) < HEAD)
    if text is None:
        return ""
    text = _one_ending(text)
    cut = text.rfind("\n")
    return text[: cut + 1] if len(raw) == HEAD and cut >= 0 else text


def pieces(file: Path, losses: Losses) -> Iterator[bytes]:
    """Whole lines of `file` as UTF-8 with "\\n" endings and without NUL bytes, at most PIECE or so bytes at a time.

    The first piece is small: what stands before the first row needs care, the rest is clean as a rule.
    Raises CaseError where the file cannot be read.
    """
    try:
        with file.open("rb") as stream:
            encoding = _encoding(stream.read(HEAD))
            stream.seek(3 if encoding == "utf-8-sig" else 0)
            # The BOM is gone: from here on it is plain UTF-8, and passed on as bytes.
            decoder = codecs.getincrementaldecoder(encoding)("replace") if encoding.startswith("utf-16") else None
            rest = b""
            size = min(PIECE, HEAD)
            while True:
                raw = stream.read(size)
                size = PIECE
                text = decoder.decode(raw, final=not raw).encode("utf-8", "replace") if decoder else raw
                whole, rest = _lines(rest + text, losses, final=not raw)
                if whole:
                    yield whole
                if not raw:
                    return
    except OSError as error:
        raise CaseError(f"{file} cannot be read ({error.strerror or error}): check its permissions, or copy it again.") from error


def lines_of(piece: bytes, last: bool) -> Iterator[tuple[str, bool]]:
    """The lines of a piece, each with whether it is torn: the end of the `last` piece where the log breaks off within a line."""
    torn = last and not piece.endswith(b"\n")
    lines = piece.decode("utf-8", "replace").split("\n")
    if not torn:
        lines.pop()
    for index, line in enumerate(lines, 1):
        yield line, torn and index == len(lines)


def _lines(raw: bytes, losses: Losses, final: bool) -> tuple[bytes, bytes]:
    """The whole lines at the start of `raw`, and what follows the last of them."""
    nulls = raw.count(b"\0")
    if nulls:
        losses.note("NUL bytes left out, of a damaged file or a killed writer", count=nulls)
        raw = raw.replace(b"\0", b"")
    rest = b""
    if not final and raw.endswith(b"\r"):  # its "\n" may be in the next piece
        raw, rest = raw[:-1], b"\r"
    if b"\r" in raw:
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if final:
        return raw, b""
    cut = raw.rfind(b"\n") + 1
    rest = raw[cut:] + rest
    if len(rest) > LONGEST_LINE:  # no end of line in sight: its start is kept, which no parser will take for a row
        rest = rest[: LONGEST_LINE + 1]
    return raw[:cut], rest


def _one_ending(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding(raw: bytes) -> str:
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if raw.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    # Written by a PowerShell redirection, or cut from such a file: every other byte of plain text is zero.
    sample = raw[:4096]
    if len(sample) >= 8:
        even, odd = sample[0::2], sample[1::2]
        for encoding, zeros, letters in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
            if zeros.count(0) > 0.9 * len(zeros) and letters.count(0) < 0.1 * len(letters):
                return encoding
    return "utf-8"


def _decoded(raw: bytes, encoding: str, final: bool) -> str | None:
    """`raw` as text, None where it is binary."""
    text = codecs.getincrementaldecoder(encoding)("replace").decode(raw, final)
    text = text.replace("\0", "")  # a killed writer's tail
    odd = sum(text.count(mark) for mark in "\ufffd\x01\x02\x03\x04\x05\x06\x0e\x0f")
    # A few damaged bytes are dirt in a log; many are another kind of file.
    return None if odd > 0.05 * len(text) else text
