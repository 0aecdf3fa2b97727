import json

import pytest

from cognate.case.case import Case
from cognate.case.curves import loss_curves, validation_series
from cognate.errors import CaseError
from cognate.observe.logs import import_run, readers


def entry(step, **values):
    return {"epoch": step / 100, "step": step, **values}


def state(history, **fields):
    return {"global_step": 300, "max_steps": 300, "log_history": history, **fields}


HISTORY = [
    entry(100, loss=2.0, learning_rate=1e-4, grad_norm=1.5),
    entry(100, eval_loss=1.9, eval_accuracy=0.4, eval_runtime=3.0, eval_samples_per_second=9.0),
    entry(200, loss=1.0, learning_rate=5e-5, grad_norm=1.2),
    entry(300, loss=0.5, learning_rate=0.0, grad_norm=1.1),
    entry(300, train_loss=1.2, train_runtime=9.0, total_flos=1e12),
]


@pytest.fixture
def imported(tmp_path):
    def run(content, name="trainer_state.json"):
        file = tmp_path / "my-run" / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
        import_run(file, tmp_path / "case")
        return Case.open(tmp_path / "case")

    return run


def test_a_trainer_state_becomes_a_case(imported):
    case = imported(state(HISTORY))
    assert case.info["kind"] == "run"
    assert case.info["origin"] == "huggingface trainer_state"
    assert case.info["title"] == "my-run"
    assert case.info["columns"]["eval_loss"] == "val_loss"
    assert case.info["columns"]["eval_accuracy"] == "user.eval_accuracy"
    assert case.info["integrity"]["finished"] is True
    assert case.steps == 300
    assert [row["step"] for row in case.metrics] == [100, 200, 300]
    assert case.metrics[0] == {
        "step": 100,
        "epoch": 1.0,
        "loss": 2.0,
        "lr": 1e-4,
        "grad_norm": 1.5,
        "val_loss": 1.9,
        "user": {"eval_accuracy": 0.4},
    }


def test_the_mean_over_the_run_is_no_point_of_the_curve(imported):
    assert loss_curves(imported(state(HISTORY)))[0].values == (2.0, 1.0, 0.5)


def test_it_is_recognised_by_content_and_not_by_name(imported):
    assert imported(state(HISTORY), "copied.txt").steps == 300


def test_bare_nan_and_infinity_are_null_with_a_flag(imported):
    text = json.dumps(state([entry(1, loss=float("nan"), grad_norm=float("inf"), eval_x=float("-inf"))]))
    assert "NaN" in text and "Infinity" in text
    row = imported(text).metrics[0]
    assert row["loss"] is None and row["grad_norm"] is None and row["user"] == {"eval_x": None}
    assert row["nonfinite"] == {"loss": "nan", "grad_norm": "inf", "user.eval_x": "-inf"}


def test_a_step_that_goes_back_begins_a_segment(imported):
    history = [entry(step, loss=3.0 - step / 200) for step in (100, 200, 300, 200, 300, 400)]
    curves = loss_curves(imported(state(history)))
    assert [curve.steps for curve in curves] == [(100, 200, 300), (200, 300, 400)]


def test_entries_that_are_no_objects_are_reported(imported):
    case = imported(state([*HISTORY, None, "junk", 3]))
    assert "3 entries" in case.info["integrity"]["errors"][0]


def test_the_checkpoint_that_came_furthest_is_read(tmp_path):
    for step in (900, 1000):
        folder = tmp_path / "out" / f"checkpoint-{step}"
        folder.mkdir(parents=True)
        history = [entry(step, loss=1.0, eval_loss=0.001 * step)]
        (folder / "trainer_state.json").write_text(json.dumps(state(history, global_step=step)))
    (tmp_path / "out" / "checkpoint-2000").mkdir()
    (tmp_path / "out" / "checkpoint-2000" / "trainer_state.json").write_bytes(b"\x00\x01 torn")
    import_run(tmp_path / "out", tmp_path / "case")
    case = Case.open(tmp_path / "case")
    assert case.steps == 1000
    assert case.info["title"] == "out"
    assert validation_series(case).values == (1.0,)
    import_run(tmp_path / "out" / "checkpoint-900", tmp_path / "other")
    assert Case.open(tmp_path / "other").steps == 900


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "0 bytes"),
        (b"\x80\x04\x95\x00\x00junk", "no log that Cognate can read"),
        (b'{"model_type": "bert"}', "no log that Cognate can read"),
        (b"[1, 2, 3]", "no log that Cognate can read"),
        (b'{"log_history": [{"loss": 1', "cut off"),
        (b'{"log_history": []}', "log_history is empty"),
        (b'{"log_history": 5}', "log_history is empty"),
        (b'{"log_history": [{"note": "x"}]}', "no number"),
        (b'{"log_history": ' + b"[" * 100_000, "cut off"),
    ],
)
def test_what_is_no_evidence_is_one_sentence(tmp_path, content, says):
    file = tmp_path / "some.json"
    file.write_bytes(content)
    with pytest.raises(CaseError) as raised:
        import_run(file, tmp_path / "case")
    assert says in str(raised.value) and "\n" not in str(raised.value)
    assert not (tmp_path / "case").exists()


def test_a_missing_file_and_an_empty_folder_are_one_sentence(tmp_path):
    with pytest.raises(CaseError, match="There is no"):
        import_run(tmp_path / "nowhere", tmp_path / "case")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CaseError, match="no log that Cognate can read"):
        import_run(tmp_path / "empty", tmp_path / "case")


def test_numbers_of_any_kind_are_survived(imported):
    huge = "1" + "0" * 400
    text = '{"global_step": "x", "log_history": [{"step": "abc", "loss": HUGE}, {"step": 1e400, "loss": "0.5"}]}'
    case = imported(text.replace("HUGE", huge))
    assert [(row["loss"], row.get("nonfinite")) for row in case.metrics] == [(None, {"loss": "inf"}), (0.5, None)]


def test_every_reader_says_its_format():
    formats = [reader.FORMAT for reader in readers()]
    assert len(set(formats)) == len(formats) and all(formats) and "Hugging Face trainer_state.json" in formats
