"""A text log as lines: of any size in bounded memory, with what terminals overwrite taken apart."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from cognate.errors import CaseError

HEAD = 1 << 16  # bytes of the beginning, and of the end, by which a format is decided
_CHUNK = 1 << 20
LONGEST = 1 << 12  # characters of a line that are looked at: longer ones are dumped tensors
_COLOUR = re.compile(r"\x1b(?:\[[0-9;?]*[A-Za-z]|\][^\x07]{0,200}\x07)")
_BACK = re.compile(r"[\r\b]+")
_OVERWRITES = re.compile("[\r\b\x1b]")
# A chunk that holds one of them may tell of more than numbers. Plain words: ten times faster to look for than a pattern.
_ALERTS = (
    *("Traceback", "Error", "Exception", "kipping", "OVERFLOW", "overflow", "CANCELLED", "Killed", "out of memory", "oom-kill"),
    *("Segmentation", "arly stopping", "arlyStopping", "is nan", "inished", "omplete", "nd of training", "Bus error", "done"),
)


class Lines:
    """The lines of `file`; iterate once. A state that was overwritten (by \\r or \\b) comes as a line of its own."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.alert = False  # whether the part being read holds words of warnings, errors or endings
        self.transient = False  # whether the line given last was overwritten by the next one
        self.cut = 0  # lines that were too long and were read in part
        self._plain = False  # whether the lines of the chunk need nothing done to them

    def __iter__(self) -> Iterator[str]:
        for lines in self._chunks():
            if self._plain:
                yield from lines
                continue
            for line in lines:
                if len(line) > LONGEST:
                    self.cut += 1
                    line = line[:LONGEST]
                if _OVERWRITES.search(line):
                    yield from self._states(line)
                else:
                    yield line

    def _states(self, line: str) -> Iterator[str]:
        states = [state for state in _BACK.split(_COLOUR.sub("", line)) if state.strip()]
        for index, state in enumerate(states, 1):
            self.transient = index < len(states)
            yield state
        self.transient = False

    def _prepared(self, lines: list[str], text: str) -> list[str]:
        self._plain = not any(mark in text for mark in "\r\b\x1b") and all(len(line) <= LONGEST for line in lines)
        if self._plain:
            return lines
        return [line for long in lines for line in (long.split("\r") if len(long) > LONGEST else (long,))]

    def _chunks(self) -> Iterator[list[str]]:
        try:
            with self.file.open("rb") as stream:
                decoder = codecs.getincrementaldecoder(_encoding(stream.read(4)))(errors="replace")
                stream.seek(0)
                rest = ""
                while block := stream.read(_CHUNK):
                    text = rest + decoder.decode(block)
                    self.alert = any(word in text for word in _ALERTS)
                    lines = text.replace("\r\n", "\n").split("\n")
                    rest = lines.pop()
                    if len(rest) > _CHUNK:
                        # A bar that was never ended: its states are lines, and the last one may be torn.
                        whole, _, rest = rest.rpartition("\r")
                        lines.append(whole if whole else rest)
                        rest = rest if whole else ""
                    yield self._prepared(lines, text)
                if rest:
                    yield self._prepared([rest], rest)
        except OSError as error:
            raise CaseError(f"{self.file} cannot be read ({error}); copy it to a place where it can be.") from error


def head(file: Path) -> tuple[str, ...]:
    """The lines of the first and the last 64 KiB; none where the file is binary or cannot be read."""
    try:
        about = file.stat()
    except OSError:
        return ()
    return _head(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=4)  # every reader of text asks for the same file
def _head(file: Path, size: int, changed: int) -> tuple[str, ...]:
    try:
        with file.open("rb") as stream:
            start = stream.read(HEAD)
            stream.seek(max(size - HEAD, len(start)) & ~1)
            end = stream.read(HEAD)
    except OSError:
        return ()
    encoding = _encoding(start)
    if b"\0" in start and not encoding.startswith("utf-16"):
        return ()
    text = start.decode(encoding, errors="replace") + "\n" + end.decode(encoding.replace("utf-16", "utf-16-le"), errors="replace")
    return tuple(line for line in re.split(r"[\r\n\b]+", _COLOUR.sub("", text)) if line.strip())


def _encoding(start: bytes) -> str:
    """Windows PowerShell redirects output into UTF-16."""
    return "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"
