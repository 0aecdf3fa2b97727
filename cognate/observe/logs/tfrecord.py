"""Event files of TensorBoard: records with a length, events in them, and of these the scalars.

A record is its length (8 bytes), a checksum of that, the bytes of an event, and their checksum. An event is a protocol
buffer with the time (field 1), the step (2) and a summary (5); a summary has values (1) with a tag (1) and the number
itself (2) or a tensor (8). Python's loop over records is what costs, so the one shape that nearly every scalar has is read
without looking at its fields one by one.
"""

from __future__ import annotations

import math
import struct
from array import array
from pathlib import Path
from typing import BinaryIO

from cognate.observe.logs.points import Points, Series
from cognate.observe.logs.protobuf import BYTES, FIXED32, FIXED64, VARINT, fields, signed

CHUNK = 1 << 22
# A summary that also carries images is read for its scalars up to here; what is larger is skipped.
LARGEST_RECORD = 1 << 26
# Whatever claims to be longer is no record any more.
_LARGEST_LENGTH = 1 << 40
_HEAD = struct.Struct("<Q4xBdBB").unpack_from
_LENGTH = struct.Struct("<Q").unpack_from
_FLOAT, _DOUBLE = struct.Struct("<f").unpack_from, struct.Struct("<d").unpack_from
# numbers of DataType in TensorFlow: float, double, the integers, half, bfloat16
_TENSORS = {1: "f", 2: "d", 3: "i", 9: "q", 19: "e"}
_BFLOAT16 = 14
_Held = list  # the points of one shape in this chunk: [series, newest step, [(step, time, four bytes), ...]]


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
    return 9 <= length < 4096 and b"brain.Event:" in start[12 : 12 + length] and masked_crc(start[:8]) == _crc_at(start, 8)


def read_events(file: Path, points: Points, prefix: str = "", check: bool = False) -> Losses:
    """Append the scalars in `file` to `points`, each under `prefix` and its tag; with `check`, compare every checksum."""
    losses = Losses()
    with file.open("rb") as stream:
        rest = b""
        while True:
            chunk = stream.read(CHUNK)
            data = rest + chunk
            used = _scan(data, points, prefix, losses, check)
            rest = data[used:]
            if len(rest) >= 12:
                length = _LENGTH(rest)[0]
                if length > _LARGEST_LENGTH or (check and masked_crc(rest[:8]) != _crc_at(rest, 8)):
                    losses.cut = len(rest) + _remaining(stream)
                    return losses
                if length > LARGEST_RECORD:
                    rest = _skip(stream, rest, length, losses)
                    continue
            if not chunk:
                losses.cut += len(rest)
                return losses


def _remaining(stream: BinaryIO) -> int:
    here = stream.tell()
    return stream.seek(0, 2) - here


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


def _scan(data: bytes, points: Points, prefix: str, losses: Losses, check: bool) -> int:
    """Read the whole records in `data`; how many bytes they are."""
    shapes: dict[bytes, _Held] = {}
    known = shapes.get
    position, size = 0, len(data)
    while position + 28 <= size:
        length, one, time, two, step = _HEAD(data, position)
        end = position + 12 + length
        if end + 4 > size:
            break
        if check and not _intact(data, position, end):
            losses.records += 1
            position = end + 4
            continue
        # time (field 1) and step (field 2) first, as every writer does; the last four bytes are the value
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
            held = known(data[here : end - 4])
            if held is not None:
                if step >= held[1]:
                    held[1] = step
                    held[2].append((step, time, data[end - 4 : end]))
                    position = end + 4
                    continue
                _flush(shapes, points)
        shape = _event(data, position + 12, end, points, prefix, losses, shapes)
        if shape is not None:
            name, key = shape
            series = points.series[name]
            shapes[key] = [series, series.last, []]
        position = end + 4
    _flush(shapes, points)
    return position
