"""The output of ordinary scripts: the many ways to print a loss, and all that stands around it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognate.case.case import Case
from cognate.case.line_metrics import read_line
from cognate.case.printed import printed_metrics
from cognate.errors import CaseError
from cognate.observe.logs import readers, recognise, script_output
from cognate.observe.logs.points import Points, Told
from cognate.observe.logs.shapes import Shapes


@pytest.fixture
def read(rows_and_info):
    return rows_and_info


STYLES = [
    "Epoch {e}/3 - train_loss: {a} - val_loss: {b}",
    "epoch={e} train_loss={a} val_loss={b} lr=0.001",
    "Epoch: {e}, Training Loss: {a}, Validation Loss: {b}, Time: 12.5s",
    "[Epoch {e}] train loss: {a} | val loss: {b} | val acc: 0.5",
    "2024-05-01 12:00:0{e},123 - INFO - train.py:31 - Epoch {e} train_loss {a} val_loss {b}",
    "INFO:root:epoch {e} | train loss {a} | valid loss {b}",
    "\x1b[32m2024-05-01 12:00:01.123\x1b[0m | \x1b[1mINFO\x1b[0m | epoch {e} train/loss: {a} val/loss: {b}",
    "Epoch [{e}/3], Train Loss: {a}, Val Loss: {b}",
    "[rank0]: Epoch {e} train_loss: {a} val_loss: {b}",
    "epoch {e}: train {a} val {b}",
    "Epoch {e} of 3 took 1.23s: train_loss={a}, val_loss={b}, best=0.1",
    "epoch\t{e}\ttrain_loss\t{a}\tval_loss\t{b}",
]


@pytest.mark.parametrize("style", STYLES)
def test_a_line_an_epoch(read, style):
    rows, info = read("".join(style.format(e=e, a=f"{2 / e:.4f}", b=f"{3 / e:.4f}") + "\n" for e in (1, 2, 3)))
    assert [row["loss"] for row in rows] == [2.0, 1.0, 0.6667]
    assert [row["val_loss"] for row in rows] == [3.0, 1.5, 1.0]
    assert [row["step"] for row in rows] == [1, 2, 3]
    assert info["log"]["step_unit"] == "epoch" and info["origin"] == "script output"


def test_settings_times_and_sizes_are_no_series(read):
    text = (
        "Namespace(lr=0.0001, epochs=3, batch_size=64, loss_weight=0.5)\npython train.py --lr 0.1 --epochs 3\n"
        "Using cuda:0\nlr: 0.1\nTotal parameters: 1,234,567\nloaded 50000 train and 10000 test samples\n"
        "  hidden_size ........ 256\n"
    )
    text += "".join(
        f"step {n}/30 loss {4 / n:.3f} time 0.12s 341 samples/s mem 3.2 GB batch_size 64 eta 0:01:03\n" for n in (10, 20, 30)
    )
    rows, info = read(text + "Done in 12.3s, best loss 0.01\n")
    assert info["columns"] == {"train_loss": "loss"} and [row["step"] for row in rows] == [10, 20, 30]
    assert info["integrity"]["finished"] is True and info["log"]["max_steps"] == 30


def test_headings_and_lines_without_a_counter(read):
    text = "".join(
        f"Epoch {e}/2\n----------\ntrain Loss: {2 / e:.4f} Acc: 0.{e}\nval Loss: {3 / e:.4f} Acc: 0.{e + 1}\n\n" for e in (1, 2)
    )
    rows, info = read(text)
    assert [(row["epoch"], row["loss"], row["val_loss"]) for row in rows] == [(1.0, 2.0, 3.0), (2.0, 1.0, 1.5)]
    assert info["log"]["step_unit"] == "epoch"


def test_the_count_of_batches_begins_anew_with_each_epoch(read):
    lines = [f"Epoch [{e}/2], Step [{n}/100], Loss: {5 - e - n / 100:.4f}" for e in (1, 2) for n in (25, 50, 75, 100)]
    rows, info = read("\n".join(lines))
    assert [row["step"] for row in rows] == [25, 50, 75, 100, 125, 150, 175, 200] and info["log"]["step_unit"] == "step"
    lines = [f"epoch {e} batch {n} loss {5 - e - n / 100:.4f}" for e in (1, 2) for n in (25, 50, 75, 100)]
    rows, info = read("\n".join(lines))
    assert [row["step"] for row in rows] == list(range(1, 9)) and info["log"]["step_unit"] == "row"
    assert not any(row.get("segment") for row in rows)


def test_bars_with_a_postfix(read):
    text = "".join(
        "\r".join(
            f"Epoch {e}: {n}0%|█▏   | {n}/10 [00:01<00:05,  3.2it/s, loss={3 / e - n / 100:.3f}, v_num=0]" for n in range(11)
        )
        + f"\nval_loss: {4 / e}\n"
        for e in (1, 2)
    )
    rows, info = read(text)
    assert len(rows) == 20 and rows[-1]["step"] == 20 and rows[-1]["val_loss"] == 2.0 and rows[9]["val_loss"] == 4.0
    assert "v_num" not in info["columns"]


def test_a_restart_is_a_segment(read):
    steps = [*range(10, 60, 10), *range(30, 80, 10)]
    rows, info = read("\n".join(f"step {n} loss {1 / n}" for n in steps))
    assert [row.get("segment", 0) for row in rows] == [0] * 5 + [1] * 5 and info["log"]["segments"] == 2


def test_ranks_with_and_without_a_tag(read):
    rows, info = read("\n".join(f"[rank{r}]: step {n} loss {9 - n + r / 10}" for n in range(1, 9) for r in (0, 1, 2)))
    assert [row["loss"] for row in rows] == [9.0 - n for n in range(1, 9)] and info["log"]["ranks"] == 3
    rows, info = read("\n".join(f"step {n} loss {9 - n + r / 10}" for n in range(1, 9) for r in (0, 1)))
    assert [row["loss"] for row in rows] == [9.0 - n for n in range(1, 9)] and info["log"]["told_again"] == 8
    rows, info = read("\n".join(f"step {n - r} loss {9 - n}" for n in range(3, 40) for r in (0, 1, 2)))
    assert [row["step"] for row in rows] == list(range(3, 40)) and info["log"]["segments"] == 1


CRASH = """\
Traceback (most recent call last):
  File "/home/u/train.py", line 88, in <module>
    main()
  File "/home/u/train.py", line 44, in main
    loss.backward()
  File "/env/lib/python3.11/site-packages/torch/_tensor.py", line 522, in backward
    torch.autograd.backward(
torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0)
"""
LINES = "".join(f"epoch {n} loss {1 / n}\n" for n in range(1, 5))


def test_the_traceback_at_the_end_is_the_crash(read):
    rows, info = read(LINES + CRASH)
    crash = info["exception"]
    assert crash["type"] == "OutOfMemoryError" and crash["message"].startswith("CUDA out of memory. Tried")
    assert crash["site"] == {"file": "/home/u/train.py", "line": 44, "function": "main"}
    assert crash["traceback"].startswith("Traceback") and len(rows) == 4 and info["integrity"]["finished"] is False


def test_the_launcher_reports_the_crash_and_is_not_it(read):
    launcher = 'Traceback (most recent call last):\n  File "/bin/torchrun", line 8, in <module>\n    sys.exit(main())\n'
    launcher += "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n====\ntrain.py FAILED\n"
    tagged = "".join(f"[rank0]: {line}\n" for line in CRASH.splitlines())
    _, info = read(LINES + tagged + launcher)
    assert info["exception"]["type"] == "OutOfMemoryError"


def test_a_crash_that_the_run_survived_is_none(read):
    _, info = read(LINES + CRASH + "".join(f"epoch {n} loss {1 / n}\n" for n in range(3, 9)))
    assert "exception" not in info and info["log"]["exceptions_survived"] == 1 and info["log"]["segments"] == 2


def test_a_chain_of_exceptions_and_a_torn_traceback(read):
    chained = CRASH + "\nDuring handling of the above exception, another exception occurred:\n\n"
    chained += 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n    g()\nValueError: bad batch\n'
    _, info = read(LINES + chained)
    assert info["exception"]["type"] in ("OutOfMemoryError", "ValueError") and "bad batch" in chained
    _, info = read(LINES + CRASH[:150])
    assert info["exception"]["traceback"].startswith("Traceback")


@pytest.mark.parametrize(
    ("tail", "fact", "value"),
    [
        ("Gradient overflow.  Skipping step, loss scaler 0 reducing loss scale to 32768.0\n" * 3, "skipped_steps", 3),
        ("[deepspeed] OVERFLOW! Rank 0 Skipping step. Attempted loss scale: 65536, reducing to 32768\n", "skipped_steps", 1),
        ("WARNING: loss is nan, skipping this batch\n" * 2, "skipped_steps", 2),
        ("Loss is nan, stopping training\n", "stopped_at_nan", True),
        ("Early stopping at epoch 4\n", "stopped_early", True),
        (
            "slurmstepd: error: *** JOB 123 ON node7 CANCELLED AT 2024-05-01T12:00:00 DUE TO TIME LIMIT ***\n",
            "killed",
            "the scheduler's time limit",
        ),
        ("Killed\n", "killed", "it was killed"),
    ],
)
def test_what_else_a_log_says_of_the_end(read, tail, fact, value):
    _, info = read(LINES + tail)
    assert info["log"][fact] == value


def test_nan_and_infinity_are_values(read):
    rows, _ = read("step 1 loss 2.0\nstep 2 loss inf\nstep 3 loss nan\nstep 4 loss -inf\nstep 5 loss NaN\n")
    assert [row.get("nonfinite", {}).get("loss") for row in rows] == [None, "inf", "nan", "-inf", "nan"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "latin-1"])
def test_encodings_of_other_systems(read, encoding):
    rows, _ = read("".join(f"Époque? epoch {n} loss {1 / n}\r\n" for n in range(1, 5)).encode(encoding))
    assert [row["loss"] for row in rows] == [1.0, 0.5, 1 / 3, 0.25]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "epoch,loss\n1,0.5\n2,0.4\n3,0.3\n4,0.2\n"),
        ("log.txt", '{"epoch": 1, "loss": 0.5}\n{"epoch": 2, "loss": 0.4}\n{"epoch": 3, "loss": 0.3}\n'),
        ("metrics.txt", "epoch,train_loss,val_loss\n1,0.5,0.6\n2,0.4,0.5\n3,0.3,0.4\n"),
    ],
)
def test_tables_and_json_are_left_to_their_readers(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    assert script_output.find(tmp_path / name) is None


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox jumps over 13 lazy dogs.\n" * 50,
        "def train():\n    loss = 0.5\n    return loss\n" * 5,
        "GET /index.html 200 0.013\nGET /a 404 0.002\n" * 9,
        "torch==2.9.0\nnumpy==2.4.6\nlightning==2.6.6\n",
        "\0\1\2\3" * 99,
    ],
)
def test_what_is_no_training_log_is_not_taken_for_one(tmp_path, text):
    (tmp_path / "x.txt").write_text(text)
    assert recognise(tmp_path / "x.txt") is None


def test_too_many_rows_are_thinned_and_no_extreme_is_lost():
    points = Points(most=1000)
    for n in range(20_000):
        value = 1e9 if n == 7777 else float("nan") if n == 12_345 else 1.0 + n % 7 / 100
        points.add(Told([("loss", value)] + ([("val", 0.5)] if n % 1000 == 0 else []), float(n)))
    loss = points.series["loss"].values
    assert len(points) <= 1000 and points.thinned == 20_000 - len(points)
    assert max(loss) == 1e9 and any(value != value for value in loss)
    assert points.step[0] == 0 and points.step[-1] == 19_999 and len(points.series["val"].values) == 20
    assert list(points.step) == sorted(points.step)


NAMES = st.sampled_from(["loss", "train loss", "val_loss", "lr", "acc", "grad_norm", "reward", "epoch", "step"])
NUMBERS = st.one_of(
    st.integers(0, 10**6).map(str), st.floats(0, 1e6).map(repr), st.sampled_from(["nan", "inf", "3/10", "12:30", "45%"])
)
LINE = st.lists(st.tuples(NAMES, st.sampled_from([" ", ": ", "=", " = "]), NUMBERS), min_size=1, max_size=6)


@given(LINE, st.sampled_from([" ", ", ", " | ", "\t", " - "]))
def test_a_known_shape_is_read_as_the_first_of_its_kind(pairs, between):
    line = between.join(f"{name}{joint}{number}" for name, joint, number in pairs)
    shapes = Shapes()
    first = shapes(line)
    assert repr(shapes(line)) == repr(first) == repr(Shapes()(line))
    if first is not None:
        told = read_line(line)
        assert (first.step, first.epoch) == (told.step, told.epoch)
        known = {metric.name: metric.value for metric in told.metrics}
        for name, value in first.values:
            expected = known[name]
            assert value == expected or (expected is None and not abs(value) < float("inf"))


def test_a_log_and_the_prints_of_an_observed_run_are_read_alike():
    lines = [f"epoch {n} train loss {2 / n:.3f} val loss {3 / n:.3f} acc {50 + n}%" for n in range(1, 6)]
    printed = printed_metrics(Case.of(events=[{"kind": "print", "text": line} for line in lines]))
    shapes = Shapes()
    for index, line in enumerate(lines):
        assert dict(shapes(line).values) == pytest.approx({name: one.values[index] for name, one in printed.items()})


TEXT = [reader for reader in readers() if getattr(reader, "GENERIC", 0) >= 2]
PIECES = st.sampled_from(
    [
        *(
            "epoch 1 loss 0.5\n",
            "Epoch 3/10\n",
            "{'loss': '0.5', 'epoch': '0.1'}\n",
            "{'loss': nan\n",
            "iter 5: loss 0.1, time 2ms\n",
        ),
        *("\r", "\b\b", "\x1b[1m", "\0", "3/3 [====] - loss: 0.5 - val_loss: nan\n", "Train Epoch: 1 [5/10 (1%)]\tLoss: 0.2\n"),
        *(
            "Traceback (most recent call last):\n",
            "ValueError: x\n",
            "  File",
            "[rank1]: ",
            "Step 4 | loss:1 lr:2\n",
            "9" * 400,
            "1e999 ",
        ),
        *(
            "iteration 3/ 10 | lm loss: 1E+1 |\n",
            '| INFO | train | {"loss": "1"}\n',
            "epoch train_loss dur\n",
            "1 0.5 0.1\n",
            "é",
            "\ud7ff",
        ),
        *(
            "step:5/10 val_loss:3\n",
            '[BATCH][step=2]: { "loss": 1 }\n',
            "1epoch:train:1-5batch: loss=3\n",
            "Test: [1/2] Loss 1 (2)\n",
            " * Acc@1 5\n",
        ),
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join), st.binary(max_size=40))
def test_no_text_breaks_a_reader(tmp_path_factory, text, junk):
    file = tmp_path_factory.mktemp("fuzz") / "x.log"
    file.write_bytes(text.encode() + junk)
    for reader in TEXT:
        reader.find(file)
        try:
            run = reader.read(file)
        except CaseError as error:
            assert "\n" not in str(error)
        else:
            assert len({len(column) for column in run.series.values()}) == 1


def test_the_percentage_of_a_bar_is_no_step():
    shapes = Shapes()
    bars = [f" {n:3d}%|████      | {2 * n}/200 [00:01<00:05,  3.2it/s, loss=0.{n + 10}]" for n in (0, 50, 100)]
    assert [(shapes(bar).step, shapes(bar).steps) for bar in bars] == [(0, 200), (100, 200), (200, 200)]
