"""TensorBoard event files, written by torch's own writer and byte by byte."""

import math
import struct
from itertools import count

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.tensorboard import SummaryWriter

from benchmarks.written_logs import BFLOAT16, DOUBLE, FLOAT, HALF, INT64, begin, event, field, record, scalar, tensor, varint
from cognate.case.case import Case
from cognate.case.curves import loss_curves
from cognate.errors import CaseError
from cognate.observe.logs import import_run, tensorboard, tfrecord
from cognate.observe.logs.scalars import Points
from cognate.observe.logs.write import rows_of


def curve(tag="loss", steps=range(1, 31), value=lambda step: 1 / (1 + step), time=1_000.0):
    return [event(step, scalar(tag, value(step)), time=time + step) for step in steps]


@pytest.fixture
def write(tmp_path):
    numbers = count()

    def run(*events, folder="run", time=1_000.0, tail=b""):
        file = tmp_path / folder / f"events.out.tfevents.{next(numbers)}.host"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(begin(time) + b"".join(record(one) for one in events) + tail)
        return file

    return run


def rows(path):
    run = tensorboard.read(tensorboard.find(path))
    return run.rows or list(rows_of(run.series))


def losses(path):
    return [row.get("loss") for row in rows(path)]


def test_what_torch_writes_becomes_a_case(tmp_path):
    with SummaryWriter(tmp_path / "run-7") as writer:
        for step in range(300):
            writer.add_scalar("train/loss", 3 / (step + 1), step)
            writer.add_scalar("train/lr", 0.5, step, new_style=True)
            if step % 100 == 99:
                writer.add_scalar("val/loss", math.nan if step > 200 else 2.0, step, double_precision=True, new_style=True)
                writer.add_histogram("weights", torch.arange(3.0), step)
                writer.add_text("note", "hello", step)
    import_run(tmp_path / "run-7", tmp_path / "case")
    case = Case.open(tmp_path / "case")
    assert case.info["title"] == "run-7" and case.info["origin"] == "TensorBoard events"
    assert case.info["columns"] == {"train/loss": "loss", "train/lr": "lr", "val/loss": "val_loss"}
    assert case.info["log"]["step_unit"] == "step" and case.info["log"]["unreadable"] == 0
    assert case.steps == 299 and len(case.metrics) == 300
    assert case.metrics[99]["val_loss"] == 2.0 and case.metrics[299]["nonfinite"] == {"val_loss": "nan"}
    assert case.metrics[299]["loss"] == pytest.approx(0.01) and case.metrics[299]["lr"] == 0.5


def test_folders_that_add_scalars_and_add_hparams_make_are_parts_of_the_run(tmp_path):
    with SummaryWriter(tmp_path / "run") as writer:
        writer.add_hparams({"lr": 0.1}, {})
        for step in range(20):
            writer.add_scalar("lr", 0.1, step)
            writer.add_scalars("loss", {"train": 1 / (step + 1), "val": 2 / (step + 1)}, step)
    run = tensorboard.read(tensorboard.find(tmp_path / "run"))
    assert run.columns == {"lr": "lr", "train/loss": "loss", "val/loss": "val_loss"}
    assert list(run.series["val_loss"][:2]) == [2.0, 1.0]


def test_the_two_sides_that_keras_writes_are_one_run(write, tmp_path):
    for side, factor in (("train", 1.0), ("validation", 2.0)):
        numbers = [event(e, tensor("epoch_loss", FLOAT, field(4, struct.pack("<f", factor / (e + 1))))) for e in range(5)]
        write(*numbers, folder=f"logs/{side}")
    run = tensorboard.read(tensorboard.find(tmp_path / "logs"))
    assert run.columns == {"train/epoch_loss": "loss", "validation/epoch_loss": "val_loss"}
    assert run.facts["step_unit"] == "epoch"
    assert run.series["loss"][1] == 0.5 and run.series["val_loss"][1] == 1.0


@pytest.mark.parametrize(
    ("kind", "inside", "value"),
    [
        (FLOAT, field(4, struct.pack("<f", 0.5)), 0.5),
        (FLOAT, field(5, struct.pack("<f", 0.5)), 0.5),
        (FLOAT, b"\x2d" + struct.pack("<f", 0.5), 0.5),
        (DOUBLE, field(4, struct.pack("<d", 0.1)), 0.1),
        (DOUBLE, field(6, struct.pack("<d", 0.1)), 0.1),
        (INT64, field(10, varint(-3)), -3.0),
        (HALF, field(4, struct.pack("<e", 0.5)), 0.5),
        (HALF, field(13, varint(0x3800)), 0.5),
        (BFLOAT16, field(13, varint(0x3F80)), 1.0),
    ],
)
def test_a_tensor_of_one_number_is_a_scalar(write, kind, inside, value):
    assert losses(write(event(1, tensor("loss", kind, inside)), event(2, tensor("loss", kind, inside)))) == [value, value]


def test_tensors_of_several_numbers_and_of_other_plugins_are_none(write):
    several = tensor("loss", FLOAT, field(4, struct.pack("<ff", 1, 2)))
    text = tensor("note", FLOAT, field(4, struct.pack("<f", 1)), plugin="text")
    assert rows(write(event(1, several, text, scalar("loss", 3.0)), event(2, scalar("loss", 2.0)))) == [
        {"step": 1, "t": 0.0, "loss": 3.0},
        {"step": 2, "t": 0.0, "loss": 2.0},
    ]


def test_steps_beyond_each_length_of_their_encoding(write):
    steps = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 1 << 31, 1 << 40, (1 << 62) + 1]
    read = rows(write(*curve(steps=steps, value=lambda step: 0.5)))
    assert [row["step"] for row in read] == steps


def test_a_resume_is_a_segment_of_all_series(write, tmp_path):
    write(*curve(steps=range(100)), *curve("val_loss", (49,)), time=1_000.0)
    write(*curve(steps=range(60, 120), value=lambda step: 5.0), *curve("val_loss", (109,)), time=2_000.0)
    import_run(tmp_path / "run", tmp_path / "case")
    case = Case.open(tmp_path / "case")
    assert [(part.steps[0], part.steps[-1]) for part in loss_curves(case)] == [(0, 99), (60, 119)]
    assert [row["segment"] for row in case.metrics if row["step"] == 109 and row.get("segment")] == [1]
    assert [row.get("segment", 0) for row in case.metrics if "val_loss" in row] == [0, 1]


def test_a_counter_that_starts_again_each_epoch_is_no_counter(write):
    events = [one for _ in range(40) for one in curve(steps=range(5))]
    run = tensorboard.read(write(*events))
    assert run.facts["step_unit"] == "row" and list(run.series["step"]) == list(range(200))


def test_a_log_without_steps_is_numbered(write):
    run = tensorboard.read(write(*[event(0, scalar("loss", 1 / n)) for n in range(1, 6)]))
    assert run.facts["step_unit"] == "row" and list(run.series["step"]) == [0, 1, 2, 3, 4]


def test_a_step_that_is_logged_twice_keeps_both_values(write):
    events = [event(step, scalar("loss", value)) for step in (1, 2) for value in (3.0, 4.0)]
    assert [(row["step"], row["loss"]) for row in rows(write(*events))] == [(1, 3.0), (1, 4.0), (2, 3.0), (2, 4.0)]


def test_a_tail_that_is_cut_off_is_counted(write):
    file = write(*curve())
    file.write_bytes(file.read_bytes()[:-9])
    run = tensorboard.read(file)
    assert len(run.series["loss"]) == 29 and run.facts["unreadable"] == 1
    assert "cut off" in run.errors[0]


def test_a_flipped_bit_is_noticed_by_the_checksum(write):
    file = write(*curve())
    data = bytearray(file.read_bytes())
    data[-6] ^= 64
    file.write_bytes(bytes(data))
    run = tensorboard.read(file)
    assert len(run.series["loss"]) == 29 and run.errors == ["1 damaged events could not be read"]


def test_events_of_writers_without_checksums_are_read(write):
    file = write()
    bare = [struct.pack("<Q", len(one)) + bytes(4) + one + bytes(4) for one in curve()]
    file.write_bytes(begin()[:8] + bytes(4) + begin()[12:-4] + bytes(4) + b"".join(bare))
    assert len(losses(file)) == 30


def test_a_record_that_is_too_large_is_passed_over(write, monkeypatch):
    monkeypatch.setattr(tfrecord, "CHUNK", 256)
    monkeypatch.setattr(tfrecord, "LARGEST_RECORD", 1_000)
    picture = b"\x09" + bytes(8) + field(5, field(1, field(1, b"image") + field(4, bytes(5_000))))
    run = tensorboard.read(write(*curve(steps=range(20)), picture, *curve(steps=range(20, 40))))
    assert list(run.series["step"]) == list(range(40))
    assert run.errors == ["1 events of more than 64 MB were passed over"]


def test_a_length_that_no_file_has_ends_the_reading(write):
    run = tensorboard.read(write(*curve(), tail=struct.pack("<Q", 1 << 60) + bytes(100)))
    assert len(run.series["loss"]) == 30 and "cut off" in run.errors[0]


def test_a_giant_log_is_thinned_and_keeps_what_is_not_finite(write, monkeypatch):
    monkeypatch.setattr("cognate.observe.logs.scalars.MOST_POINTS", 5_000)
    run = tensorboard.read(write(*curve(steps=range(12_000), value=lambda step: math.nan if step == 1_001 else 1.0)))
    assert len(run.series["loss"]) < 5_100 and run.facts["thinned"]["points"] == 12_000 and "giant" in run.errors[0]
    assert sum(math.isnan(value) for value in run.series["loss"]) == 1
    assert run.series["step"][-1] == 11_999


def test_a_file_without_a_scalar_is_one_sentence(write):
    with pytest.raises(CaseError, match="logs no number"):
        tensorboard.read(write())


def shaped(tag, shape, value):
    if shape == "plain":
        return scalar(tag, value)
    kind, inside = (
        (FLOAT, field(4, struct.pack("<f", value))) if shape == "tensor" else (DOUBLE, field(6, struct.pack("<d", value)))
    )
    return tensor(tag, kind, inside)


logged = st.tuples(st.sampled_from("ab"), st.sampled_from(["plain", "tensor", "double"]), st.integers(0, 300))


@settings(max_examples=150)
@given(st.lists(st.lists(logged, min_size=1, max_size=2), min_size=1, max_size=40))
def test_however_numbers_are_encoded_their_order_and_segments_are_the_same(tmp_path_factory, events):
    """One event after another, whatever its shape, against the same points added one by one."""
    file = tmp_path_factory.mktemp("mixed") / "events.out.tfevents.1"
    one_by_one, quick = Points(), Points()
    records, number = [begin()], 0
    for event_of in events:
        step = event_of[0][2]
        values = []
        for tag, shape, _ in event_of:
            number += 1
            values.append(shaped(tag, shape, float(number)))
            one_by_one.add(tag, step, 1_000.0, float(number))
        records.append(record(event(step, *values)))
    file.write_bytes(b"".join(records))
    tfrecord.read_events(file, quick)
    for tag, series in one_by_one.series.items():
        other = quick.series[tag]
        assert (other.steps, other.values, list(other.parts())) == (series.steps, series.values, list(series.parts()))


RECORDS = [begin(), *map(record, [*curve(steps=range(40)), event(40, tensor("loss", FLOAT, field(5, bytes(4))))])]
WHOLE = b"".join(RECORDS)
ENDS = {sum(map(len, RECORDS[:number])) for number in range(len(RECORDS) + 1)}


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE)), st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), max_size=4))
def test_whatever_is_torn_or_flipped_is_a_sentence_or_a_counted_loss(tmp_path_factory, cut, flips):
    data = bytearray(WHOLE)
    for place, mask in flips:
        data[place] ^= mask
    file = tmp_path_factory.mktemp("torn") / "events.out.tfevents.1"
    file.write_bytes(bytes(data[:cut]))
    if tensorboard.find(file) is None:
        return
    try:
        run = tensorboard.read(file)
    except CaseError:
        return
    assert len(run.series["step"]) >= 1
    assert flips or cut in ENDS or run.facts["unreadable"]
