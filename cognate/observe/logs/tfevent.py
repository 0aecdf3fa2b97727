"""The scalars in a summary of TensorBoard: a plain number, or a tensor of one number as TensorFlow 2 and Keras write it."""

from __future__ import annotations

import struct
from typing import NamedTuple

from cognate.observe.logs.protobuf import BYTES, FIXED32, VARINT, fields, signed, varint

# numbers of DataType in TensorFlow: float, double, the integers, half, bfloat16
_KINDS = {1: "f", 2: "d", 3: "i", 9: "q", 19: "e"}
_BFLOAT16, _HALF = 14, 19
# fields of a tensor with its numbers: as bytes of its kind, as floats, as doubles; int32, int64, and halves as integers
_CONTENT = {4: "", 5: "f", 6: "d"}
_INTEGERS = (7, 10, 13)
_LONGEST_NAME = 300
_FLOAT = struct.Struct("<f").unpack_from


class Scalar(NamedTuple):
    """A number with its tag; `place` and `form` say where its bytes are and how struct reads them, where it has such."""

    tag: str
    value: float
    place: int
    form: str


_Number = tuple[float, int, str]  # value, place, form


def scalars(data: bytes, start: int, end: int) -> list[Scalar]:
    """The scalars in the summary `data[start:end]`. Raises ValueError where it is damaged."""
    found = []
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == BYTES:
            one = _scalar(data, first, last)
            if one is not None:
                found.append(one)
    return found


def _scalar(data: bytes, start: int, end: int) -> Scalar | None:
    """One value; None for a picture, a histogram, a text or a tensor of several numbers."""
    tag = plugin = ""
    value: _Number | None = None
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == BYTES:
            tag = data[first : min(last, first + _LONGEST_NAME)].decode("utf-8", "replace")
        elif number == 2 and wire == FIXED32:
            value = _FLOAT(data, first)[0], first, "f"
        elif number == 8 and wire == BYTES:
            value = _tensor(data, first, last)
        elif number == 9 and wire == BYTES:
            plugin = _plugin(data, first, last)
    if value is None or not tag or plugin not in ("", "scalars") or tag.startswith("_hparams_/"):
        return None
    return Scalar(tag, *value)


def _plugin(data: bytes, start: int, end: int) -> str:
    """Which part of TensorBoard a value is meant for."""
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == BYTES:
            for inner, inner_wire, low, high in fields(data, first, last):
                if inner == 1 and inner_wire == BYTES:
                    return data[low : min(high, low + 100)].decode("utf-8", "replace")
    return ""


def _tensor(data: bytes, start: int, end: int) -> _Number | None:
    """The number in a tensor of one number, None for any other tensor."""
    kind = 0
    found: list[tuple[int, int, int]] = []  # field, where its bytes begin and end; for an integer its value and 0
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == VARINT:
            kind = first
        elif number in _INTEGERS and wire == BYTES:
            whole, ends = varint(data, first, last)
            found.append((number, whole, 0) if ends == last else (0, 0, 0))
        elif number in _INTEGERS and wire == VARINT:
            found.append((number, first, 0))
        elif number in _CONTENT and wire != VARINT and last > first:
            found.append((number, first, last))
    if len(found) != 1:
        return None
    field, first, last = found[0]
    if field in _INTEGERS:
        bits = first.to_bytes(8, "little")
        return _content(bits[:2], 0, kind, "") if kind in (_HALF, _BFLOAT16) else (float(signed(first)), 0, "")
    return _content(data[first:last], first, kind, _CONTENT[field]) if field and last - first <= 8 else None


def _content(content: bytes, place: int, kind: int, form: str) -> _Number | None:
    """The number that `content` is, by its own `form` or else by the kind of the tensor."""
    if kind == _BFLOAT16 and len(content) == 2:
        return float(_FLOAT(b"\0\0" + content)[0]), place, ""
    form = form or _KINDS.get(kind, "")
    if not form or len(content) != struct.calcsize("<" + form):
        return None
    return float(struct.unpack("<" + form, content)[0]), place, form
