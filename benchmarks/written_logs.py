"""Writes binary logs byte by byte, as TensorBoard and W&B do: for tests, and for damaging them."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import Any

from cognate.observe.logs.tfrecord import masked_crc

BLOCK, HEAD = 32768, 7
FLOAT, DOUBLE, INT64, HALF, BFLOAT16 = 1, 2, 9, 19, 14


def varint(value: int) -> bytes:
    """A whole number, seven bits a byte."""
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def field(number: int, data: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def scalar(tag: str, value: float) -> bytes:
    """A value of TensorBoard as a plain number."""
    return field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)


def tensor(tag: str, kind: int, inside: bytes, plugin: str = "scalars") -> bytes:
    """A value of TensorBoard as a tensor of `kind`, whose number is the field `inside`."""
    marked = field(9, field(1, field(1, plugin.encode())))
    return field(1, tag.encode()) + field(8, varint(1 << 3) + varint(kind) + inside) + marked


def event(step: int, *values: bytes, time: float = 1_000.0) -> bytes:
    """An event with `values`; a step of 0 is left out, as the format does."""
    counted = varint(2 << 3) + varint(step) if step else b""
    return b"\x09" + struct.pack("<d", time) + counted + field(5, b"".join(field(1, value) for value in values))


def record(data: bytes) -> bytes:
    """An event with its length and checksums."""
    head = struct.pack("<Q", len(data))
    return head + struct.pack("<I", masked_crc(head)) + data + struct.pack("<I", masked_crc(data))


def begin(time: float = 1_000.0) -> bytes:
    """What every event file begins with."""
    return record(b"\x09" + struct.pack("<d", time) + field(3, b"brain.Event:2"))


def history(**row: Any) -> bytes:
    """A row of W&B's history; `a__b` is the key b in a."""
    items = []
    for name, value in row.items():
        keys = name.split("__")
        key = field(1, keys[0].encode()) if len(keys) == 1 else b"".join(field(2, part.encode()) for part in keys)
        items.append(field(1, key + field(16, json.dumps(value).encode())))
    return field(2, b"".join(items))


RUN = field(17, field(1, b"abc123") + field(3, b"project") + field(8, b"calm-tree-7"))
EXIT = field(18, varint(1 << 3) + b"\0")


def framed(*records: bytes) -> bytes:
    """W&B's records in blocks of 32 KiB, split where they do not fit."""
    out = bytearray(b":W&B\xe1\xbe\0")
    for data in records:
        first = True
        while first or data:
            room = BLOCK - len(out) % BLOCK
            if room < HEAD:
                out += bytes(room)
                continue
            piece, data = data[: room - HEAD], data[room - HEAD :]
            kind = (1 if not data else 2) if first else (4 if not data else 3)
            out += struct.pack("<IHB", zlib.crc32(bytes([kind]) + piece), len(piece), kind) + piece
            first = False
    return bytes(out)


def binaries(curve: dict[int, float]) -> dict[str, bytes]:
    """A log of `curve` (step: loss) for each of the binary formats, by the name that its file usually has."""
    plain = [event(step, scalar("loss", loss)) for step, loss in curve.items()]
    tensors = [event(step, tensor("val_loss", FLOAT, field(4, struct.pack("<f", loss)))) for step, loss in curve.items()]
    rows = [history(_step=step, loss=loss, a__b=1) for step, loss in curve.items()]
    reported = [
        {"type": "training_stats_scalar", "iter": step, "metric": "loss", "variant": "train", "value": loss}
        for step, loss in curve.items()
    ]
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("metrics.jsonl", json.dumps(reported) + "\n")
        archive.writestr("task.json", json.dumps({"name": "a task"}))
    return {
        "events.out.tfevents.1700000000.host.1.0": begin() + b"".join(map(record, [*plain, *tensors])),
        "run-abc123.wandb": framed(RUN, *rows, EXIT),
        "offline-abc123.zip": packed.getvalue(),
    }
