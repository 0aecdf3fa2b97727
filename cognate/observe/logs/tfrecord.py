"""Event files of TensorBoard: records with a length, events in them, and of these the scalars.

A record is its length (8 bytes), a checksum of that, the bytes of an event, and their checksum. An event is a protocol
buffer with the time (field 1), the step (2) and a summary (5); a summary has values (1) with a tag (1) and the number
itself (2) or a tensor (8). Python's loop over records is what costs, so the one shape that nearly every scalar has is read
without looking at its fields one by one.
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

from cognate.observe.logs.protobuf import BYTES, FIXED64, VARINT, fields, signed
from cognate.observe.logs.scalars import Points
from cognate.observe.logs.tfevent import Scalar, scalars

CHUNK = 1 << 22
# A summary that also carries images is read for its scalars up to here; what is larger is skipped.
LARGEST_RECORD = 1 << 26
# Checksums take Python 0.1 s a megabyte.
_CHECKED = 1 << 21
# Whatever claims to be longer is no record any more.
_LARGEST_LENGTH = 1 << 40
_HEAD = struct.Struct("<Q4xBdBB").unpack_from
_LENGTH = struct.Struct("<Q").unpack_from
_DOUBLE = struct.Struct("<d").unpack_from
_Held = list[Any]  # the points of one shape in this chunk: [series, newest step, [(step, time, bytes), ...], form]


class Losses:
    """What could not be read, counted."""

    def __init__(self) -> None:
        self.records = 0  # no events, or events that are damaged
        self.large = 0  # larger than what is read
        self.cut = 0  # bytes after the last whole record


def looks_right(start: bytes) -> bool:
    """Whether a file that begins with `start` holds events: its first record names the version of the format."""
    if len(start) < 24:
        return False
    length = _LENGTH(start)[0]
    return 9 <= length < 4096 and b"brain.Event:" in start[12 : 12 + length]


def read_events(file: Path, points: Points, prefix: str = "") -> Losses:
    """Append the scalars in `file` to `points`, each under `prefix` and its tag. Raises OSError."""
    losses = Losses()
    with file.open("rb") as stream:
        scan = _Scan(points, prefix, losses, check=_checked(stream))
        rest = b""
        while True:
            chunk = stream.read(CHUNK)
            data = rest + chunk
            used = scan.chunk(data)
            rest = data[used:]
            if len(rest) >= 12:
                length = _LENGTH(rest)[0]
                if length > _LARGEST_LENGTH or (scan.check and masked_crc(rest[:8]) != _crc_at(rest, 8)):
                    losses.cut = len(rest) + _remaining(stream)
                    return losses
                if length > LARGEST_RECORD:
                    rest = _skip(stream, rest, length, losses)
                    continue
            if not chunk:
                losses.cut += len(rest)
                return losses


def _checked(stream: BinaryIO) -> bool:
    """Whether to compare checksums: in files small enough for Python to do it, by writers that wrote true ones."""
    size = _remaining(stream)
    head = stream.read(4096)
    stream.seek(0)
    if size > _CHECKED or len(head) < 24:
        return False
    end = 12 + _LENGTH(head)[0]
    return end + 4 <= len(head) and masked_crc(head[:8]) == _crc_at(head, 8) and _intact(head, 0, end)


def _remaining(stream: BinaryIO) -> int:
    here = stream.tell()
    ahead = stream.seek(0, 2) - here
    stream.seek(here)
    return ahead


def _skip(stream: BinaryIO, rest: bytes, length: int, losses: Losses) -> bytes:
    """Go past a record that is too large to hold; what there is of the next one."""
    ahead = 16 + length - len(rest)
    if ahead <= 0:
        losses.large += 1
        return rest[16 + length :]
    if ahead > _remaining(stream):
        losses.cut += len(rest)
        stream.seek(0, 2)
    else:
        losses.large += 1
        stream.seek(ahead, 1)
    return b""


class _Scan:
    """Reads the events of one file, a chunk at a time.

    The bytes around a number are the same in every event of a series, but for time and step. So the first event of a series is
    read field by field, and the bytes around its number are remembered as its shape; whatever has that shape is read by it.
    """

    def __init__(self, points: Points, prefix: str, losses: Losses, check: bool) -> None:
        self.points, self.prefix, self.losses, self.check = points, prefix, losses, check
        self.shapes: dict[Any, _Held] = {}
        # For an event that does not end with its number: where that is and how long, by the length after the step.
        self.layouts: dict[int, tuple[int, int]] = {}
        # A name has one shape at a time, or its points would be told out of order.
        self.by_name: dict[str, Any] = {}

    def chunk(self, data: bytes) -> int:
        """Read the whole records in `data`; how many bytes they are."""
        known, layout_of = self.shapes.get, self.layouts.get
        position, size = 0, len(data)
        while position + 28 <= size:
            length, one, time, two, step = _HEAD(data, position)
            end = position + 12 + length
            if end + 4 > size:
                break
            if self.check and not _intact(data, position, end):
                self.losses.records += 1
                position = end + 4
                continue
            # time (field 1) and step (field 2) come first, as every writer has it
            if one == 9 and two == 16 and length > 16:
                here = position + 23
                if step > 127:
                    shift = 7
                    step &= 127
                    while shift < 63:
                        byte = data[here]
                        here += 1
                        if byte < 128:
                            step |= byte << shift
                            break
                        step |= (byte & 127) << shift
                        shift += 7
                at, after = end - 4, end
                held = known(data[here:at])
                if held is None:
                    layout = layout_of(end - here)
                    if layout is not None:
                        at = here + layout[0]
                        after = at + layout[1]
                        held = known((data[here:at], data[after:end]))
                if held is not None:
                    if step >= held[1]:
                        held[1] = step
                        held[2].append((step, time, data[at:after]))
                        position = end + 4
                        continue
                    self.flush()
            self._event(data, position + 12, end)
            position = end + 4
        self.flush()
        return position

    def flush(self) -> None:
        """Hand what was collected to the series, and forget the shapes: a restart may follow, and is looked at in full."""
        for held in self.shapes.values():
            self._hand_over(held)
        self.shapes.clear()
        self.by_name.clear()

    def _hand_over(self, held: _Held) -> None:
        series, newest, collected, form = held
        if collected:
            steps, times, values = zip(*collected, strict=True)
            series.steps.extend(steps)
            series.times.extend(times)
            series.values.extend(struct.unpack(f"<{len(values)}{form}", b"".join(values)))
            series.last = newest
            self.points.added(len(values))
            collected.clear()

    def _event(self, data: bytes, start: int, end: int) -> None:
        """Read the event in `data[start:end]` field by field, and remember its shape where it has a single number."""
        time, step, after_step = 0.0, 0, 0
        summaries = []
        try:
            for number, wire, first, last in fields(data, start, end):
                if number == 1 and wire == FIXED64:
                    time = _DOUBLE(data, first)[0]
                elif number == 2 and wire == VARINT:
                    step, after_step = signed(first), last
                elif number == 5 and wire == BYTES:
                    summaries.append((first, last))
            found = [one for first, last in summaries for one in scalars(data, first, last)]
        except ValueError:
            self.losses.records += 1
            return
        for one in found:
            name = self.prefix + one.tag
            shape = self.by_name.get(name)
            if shape is not None:
                self._hand_over(self.shapes[shape])
            series = self.points.series.get(name)
            if series is not None and step < series.last:
                self.flush()
            self.points.add(name, step, time, one.value)
            if shape in self.shapes:
                self.shapes[shape][1] = step
        if len(found) == 1 and found[0].form and data[start] == 9 and data[start + 9] == 16 and after_step:
            self._remember(data, after_step, end, found[0])

    def _remember(self, data: bytes, start: int, end: int, one: Scalar) -> None:
        series_name = self.prefix + one.tag
        series = self.points.series.get(series_name)
        width = struct.calcsize("<" + one.form)
        if series is None or one.place < start:
            return
        held: _Held = [series, series.last, [], one.form]
        if one.place + width == end and one.form == "f":
            shape: Any = data[start : one.place]
        else:
            self.layouts[end - start] = (one.place - start, width)
            shape = (data[start : one.place], data[one.place + width : end])
        self.shapes.pop(self.by_name.get(series_name), None)
        self.shapes[shape], self.by_name[series_name] = held, shape


def _intact(data: bytes, start: int, end: int) -> bool:
    return masked_crc(data[start + 12 : end]) == _crc_at(data, end)


def _crc_at(data: bytes, position: int) -> int:
    return int.from_bytes(data[position : position + 4], "little")


def masked_crc(data: bytes) -> int:
    """The checksum of a record's bytes: CRC-32C, rotated and shifted by a constant as the format wants it."""
    crc = 0xFFFF_FFFF
    table = _table()
    for byte in data:
        crc = table[(crc ^ byte) & 255] ^ (crc >> 8)
    crc ^= 0xFFFF_FFFF
    return (((crc >> 15) | (crc << 17)) + 0xA282_EAD8) & 0xFFFF_FFFF


@cache
def _table() -> tuple[int, ...]:
    entries = []
    for entry in range(256):
        for _ in range(8):
            entry = (entry >> 1) ^ (0x82F6_3B78 if entry & 1 else 0)
        entries.append(entry)
    return tuple(entries)
