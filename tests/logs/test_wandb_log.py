"""Logs of Weights & Biases, framed byte by byte as its own writer does."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.written_logs import BLOCK, EXIT, RUN, framed, history
from cognate.case.case import Case
from cognate.errors import CaseError
from cognate.observe.logs import import_run, wandb
from cognate.observe.logs.write import rows_of


def run_log(rows):
    return [RUN, *(history(_step=step, _timestamp=1e9 + step, **row) for step, row in enumerate(rows)), EXIT]


@pytest.fixture
def write(tmp_path):
    def run(data):
        folder = tmp_path / "wandb" / "offline-run-20260102_030405-abc123"
        folder.mkdir(parents=True)
        (folder / "run-abc123.wandb").write_bytes(data)
        return folder

    return run


def read(path):
    return wandb.read(wandb.find(path))


def test_a_run_folder_becomes_a_case(write, tmp_path):
    log = [
        {"train/loss": 1 / (step + 1), "optim__lr": 0.1, "tags": ["x"], "picture": {"_type": "image-file"}} for step in range(50)
    ]
    import_run(write(framed(*run_log(log))), tmp_path / "case")
    case = Case.open(tmp_path / "case")
    assert case.info["title"] == "calm-tree-7" and case.info["integrity"]["finished"] is True
    assert case.info["columns"] == {"train/loss": "loss", "optim.lr": "lr"}
    assert case.info["log"]["step_unit"] == "row", "nobody said what a call of log is"
    assert case.metrics[1] == {"step": 1, "t": 1.0, "loss": 0.5, "lr": 0.1}


def test_a_column_that_counts_steps_of_training_replaces_the_number_of_the_call(write):
    run = read(write(framed(*run_log([{"loss": 1.0, "trainer/global_step": 50 * step} for step in range(20)]))))
    assert run.facts["step_unit"] == "step" and run.columns["trainer/global_step"] == "step"
    assert list(run.series["step"])[:3] == [0, 50, 100]


def test_a_counter_that_goes_back_begins_a_segment(write):
    steps = [*range(0, 100, 10), *range(50, 150, 10)]
    run = read(write(framed(*run_log([{"loss": 1.0, "train/global_step": step} for step in steps]))))
    assert list(run.series["segment"]) == [0] * 10 + [1] * 10


def test_what_is_not_finite_is_flagged(write):
    run = read(write(framed(*run_log([{"loss": 1.0}, {"loss": float("nan")}, {"loss": float("inf")}, {"loss": "-Infinity"}]))))
    assert [row.get("nonfinite") for row in rows_of(run.series)] == [None, {"loss": "nan"}, {"loss": "inf"}, {"loss": "-inf"}]


def test_nested_values_are_named_as_wandb_shows_them(write):
    run = read(write(framed(*run_log([{"loss": 1.0, "eval": {"acc": {"top1": 0.5}}}] * 2))))
    assert run.columns == {"loss": "loss", "eval.acc.top1": "user.eval.acc.top1"}


def test_records_that_continue_in_the_next_block_are_whole(write):
    rows = [{"loss": float(step), "note": "x" * 20_000} for step in range(12)]
    assert list(read(write(framed(*run_log(rows)))).series["loss"]) == [float(step) for step in range(12)]


def test_a_last_block_that_is_cut_off_is_counted(write):
    run = read(write(framed(*run_log([{"loss": 1.0}] * 20))[:-30]))
    assert len(run.series["loss"]) >= 18 and run.facts["unreadable"] == 1 and "cut off" in run.errors[0]
    assert run.finished is False


def test_a_damaged_block_costs_itself_alone(write):
    rows = [{"loss": float(step), "note": "x" * 5_000} for step in range(40)]
    data = bytearray(framed(*run_log(rows)))
    data[BLOCK + 9_000] ^= 255
    run = read(write(bytes(data)))
    assert run.facts["unreadable"] == 1 and 30 <= len(run.series["loss"]) < 40
    assert run.series["loss"][-1] == 39.0


def test_a_log_without_history_is_one_sentence(write):
    with pytest.raises(CaseError, match="logs no number"):
        read(write(framed(RUN, EXIT)))


WHOLE = framed(*run_log([{"loss": 0.5, "a__b": 1, "note": "x" * 1_000} for _ in range(60)]))


@settings(max_examples=150)
@given(st.integers(0, len(WHOLE)), st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(1, 255)), max_size=4))
def test_whatever_is_torn_or_flipped_is_a_sentence_or_a_counted_loss(tmp_path_factory, cut, flips):
    data = bytearray(WHOLE)
    for place, mask in flips:
        data[place] ^= mask
    file = tmp_path_factory.mktemp("torn") / "run-1.wandb"
    file.write_bytes(bytes(data[:cut]))
    if wandb.find(file) is None:
        return
    try:
        run = wandb.read(file)
    except CaseError:
        return
    assert len(run.series["loss"]) == 60 or run.facts["unreadable"] or cut < len(WHOLE)
