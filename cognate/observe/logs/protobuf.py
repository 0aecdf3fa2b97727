"""The wire format of protocol buffers, as far as logs need it: numbered fields of varints, fixed numbers and bytes.

By hand, because the two logs that use it need a handful of fields of them, and the library weighs more than Cognate.
"""

from __future__ import annotations

from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_FIXED = {FIXED64: 8, FIXED32: 4}

# Number, wire type, then a varint's value and where it ends, or where the field's bytes begin and end.
Field = tuple[int, int, int, int]


def fields(data: bytes, start: int = 0, end: int | None = None) -> Iterator[Field]:
    """The fields of the message in `data[start:end]`: number, wire type, and its value or its first and last position.

    For a varint the third entry is its value; for everything else the bytes are `data[third:fourth]`. Raises ValueError
    where the bytes are no message, such as a field that is longer than what holds it.
    """
    end = len(data) if end is None else end
    while start < end:
        tag, start = varint(data, start, end)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            value, start = varint(data, start, end)
            yield number, wire, value, start
            continue
        if wire == BYTES:
            length, start = varint(data, start, end)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ValueError(f"wire type {wire}")
        if length > end - start:
            raise ValueError(f"a field of {length} bytes in a message of {end - start}")
        yield number, wire, start, start + length
        start += length


def varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """The number at `start` and the position after it. Raises ValueError where it does not end before `end`."""
    value = shift = 0
    while start < end and shift < 64:
        byte = data[start]
        start += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, start
        shift += 7
    raise ValueError("a number that does not end")


def signed(value: int) -> int:
    """A varint read as int64."""
    return value - (1 << 64) if value >> 63 else value
