"""The scalars in a summary of TensorBoard: a plain number, or a tensor of one number as TensorFlow 2 and Keras write it."""

from __future__ import annotations

import struct

from cognate.observe.logs.protobuf import BYTES, FIXED32, VARINT, fields, signed, varint

# numbers of DataType in TensorFlow: float, double, the integers, half, bfloat16
_TENSORS = {1: "f", 2: "d", 3: "i", 9: "q", 19: "e"}
_BFLOAT16, _HALF = 14, 19
# fields of a tensor that list its numbers: float, double, the integers, half and bfloat16 (as integers)
_LISTED = {5: ("<f", 4), 6: ("<d", 8), 7: ("", 0), 10: ("", 0), 13: ("", 0)}
_LONGEST_NAME = 300
_FLOAT = struct.Struct("<f").unpack_from


def values(data: bytes, start: int, end: int) -> list[tuple[str, float]]:
    """Tag and number of each scalar in a summary."""
    found = []
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == BYTES:
            pair = _scalar(data, first, last)
            if pair is not None:
                found.append(pair)
    return found


def _scalar(data: bytes, start: int, end: int) -> tuple[str, float] | None:
    """Tag and number of one value; None for a picture, a histogram, a text or a tensor of several numbers."""
    tag = plugin = ""
    value: float | None = None
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == BYTES:
            tag = data[first : min(last, first + _LONGEST_NAME)].decode("utf-8", "replace")
        elif number == 2 and wire == FIXED32:
            value = _FLOAT(data, first)[0]
        elif number == 8 and wire == BYTES:
            value = _tensor(data, first, last)
        elif number == 9 and wire == BYTES:
            plugin = _plugin(data, first, last)
    if value is None or not tag or plugin not in ("", "scalars") or tag.startswith("_hparams_/"):
        return None
    return tag, value


def _plugin(data: bytes, start: int, end: int) -> str:
    """Which part of TensorBoard a value is meant for."""
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == BYTES:
            for inner, inner_wire, low, high in fields(data, first, last):
                if inner == 1 and inner_wire == BYTES:
                    return data[low : min(high, low + 100)].decode("utf-8", "replace")
    return ""


def _tensor(data: bytes, start: int, end: int) -> float | None:
    """The number in a tensor of one number, None for any other tensor."""
    kind = 0
    content = b""
    listed: list[float] = []
    for number, wire, first, last in fields(data, start, end):
        if number == 1 and wire == VARINT:
            kind = first
        elif number == 4 and wire == BYTES:
            content = data[first : min(last, first + 16)]
        elif number in _LISTED:
            form, width = _LISTED[number]
            if wire == VARINT:
                listed.append(float(signed(first)))
            elif form and last - first == width:  # one number, packed or not
                listed.append(struct.unpack_from(form, data, first)[0])
            elif not form and wire == BYTES and last > first:
                whole, ends = varint(data, first, last)
                listed += [float(signed(whole))] if ends == last else [0.0, 0.0]
            else:
                return None
    if content:
        return _content(content, kind)
    if len(listed) != 1:
        return None
    return _content(int(listed[0]).to_bytes(8, "little", signed=True)[:2], kind) if kind in (_HALF, _BFLOAT16) else listed[0]


def _content(content: bytes, kind: int) -> float | None:
    if kind == _BFLOAT16 and len(content) == 2:
        return float(_FLOAT(b"\0\0" + content)[0])
    form = _TENSORS.get(kind)
    if form is None or len(content) != struct.calcsize("<" + form):
        return None
    return float(struct.unpack("<" + form, content)[0])
