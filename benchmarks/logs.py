"""What reading a TensorBoard log costs beside TensorBoard's own EventAccumulator, in CPU seconds, as a ratio.

    python benchmarks/logs.py [--events 800000] [--rounds 3]

Both read the same file of plain scalars (four series, a step each) and then one of scalars as tensors, as TensorFlow 2 and Keras
write them; EventAccumulator is told to keep every event. `cognate doctor` does more than read, so the time in which the case is
written stands beside it. Needs tensorboard.
"""

from __future__ import annotations

import argparse
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.summary.writer.record_writer import RecordWriter

from cognate.observe.logs import tensorboard
from cognate.observe.logs.write import write_metrics

TAGS = ("train/loss", "train/lr", "train/grad_norm", "val/loss")
FLOAT = 1


def write(file: Path, events: int, tensors: bool) -> None:
    with file.open("wb") as stream:
        writer = RecordWriter(stream)
        writer.write(Event(wall_time=1.7e9, file_version="brain.Event:2").SerializeToString())
        for number in range(events):
            step, tag = divmod(number, len(TAGS))
            value = 1.0 / (1 + step)
            if tensors:
                content = TensorProto(dtype=FLOAT, tensor_content=struct.pack("<f", value))
                item = Summary.Value(tag=TAGS[tag], tensor=content)
            else:
                item = Summary.Value(tag=TAGS[tag], simple_value=value)
            event = Event(wall_time=1.7e9 + step, step=step, summary=Summary(value=[item]))
            writer.write(event.SerializeToString())


def theirs(file: Path) -> None:
    EventAccumulator(str(file), size_guidance={"scalars": 0, "tensors": 0}).Reload()


def ours(file: Path) -> None:
    tensorboard.read(file)


def written(file: Path) -> None:
    write_metrics(tensorboard.read(file), file.with_suffix(".jsonl"))


def cpu_seconds(work: Callable[[Path], None], file: Path, rounds: int) -> float:
    times = []
    for _ in range(rounds):
        start = time.process_time()
        work(file)
        times.append(time.process_time() - start)
    return min(times)


def main() -> None:
    """Write the files, measure in turns, print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=800_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{options.events:,} events, best of {options.rounds}, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as folder:
        for name, tensors in (("plain scalars", False), ("scalars as tensors", True)):
            file = Path(folder) / f"events.out.tfevents.{int(tensors)}"
            write(file, options.events, tensors)
            slow = cpu_seconds(theirs, file, 1)
            fast, case = (cpu_seconds(work, file, options.rounds) for work in (ours, written))
            ratio = f"read {fast:5.2f} s ({slow / fast:4.1f}x), with the case {case:5.2f} s"
            print(f"{name:20} EventAccumulator {slow:6.2f} s   {ratio}")


if __name__ == "__main__":
    main()
