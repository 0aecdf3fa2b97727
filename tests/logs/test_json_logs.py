"""Objects a line and histories in one document, as tools and people leave them."""

import json

import pytest

from cognate.case.case import Case
from cognate.errors import CaseError
from cognate.observe.logs import import_run


def column(case, name):
    return [row.get(name) for row in case.metrics]


def lines(*objects):
    return "".join(json.dumps(one) + "\n" for one in objects)


def errors(case):
    return case.info["integrity"]["errors"]


def test_llama_factory(imported):
    text = lines(
        {
            "current_steps": 5,
            "total_steps": 20,
            "loss": 2.0,
            "lr": 1e-4,
            "epoch": 0.5,
            "elapsed_time": "0:01:05",
            "remaining_time": "0:03:15",
        },
        {"current_steps": 10, "total_steps": 20, "loss": 1.5, "lr": 9e-5, "epoch": 1.0, "elapsed_time": "1 day, 0:00:10"},
        {"current_steps": 10, "total_steps": 20, "eval_loss": 1.7, "epoch": 1.0, "elapsed_time": "1 day, 0:00:12"},
    )
    case = imported(text, "trainer_log.jsonl")
    assert case.info["origin"] == "LLaMA-Factory trainer_log"
    assert column(case, "step") == [5, 10]
    assert column(case, "t") == [65.0, 86_410.0] or column(case, "t") == [65.0, 86_412.0]
    assert column(case, "val_loss") == [None, 1.7]
    assert case.info["log"]["max_steps"] == 20 and not case.info["integrity"]["finished"]


def test_detectron2_has_a_whole_loss_and_seconds_that_are_no_clock(imported):
    rows = [
        {"iteration": 20 * n - 1, "total_loss": 2 / n, "loss_cls": 1 / n, "lr": 0.01, "time": 0.2 + n % 2, "eta_seconds": 9 - n}
        for n in (1, 2, 3)
    ]
    rows.append({"iteration": 59, "bbox/AP": 0.3, "bbox/AP-x": float("nan"), "data_time": 0.1})
    case = imported(lines(*rows), "metrics.json")
    assert case.info["origin"] == "detectron2 metrics"
    assert column(case, "loss") == [2.0, 1.0, 2 / 3] and column(case, "step") == [19, 39, 59]
    assert case.metrics[2]["nonfinite"] == {"user.bbox/AP-x": "nan"}
    assert case.info["columns"]["time"] == "user.time"


def test_a_script_in_the_style_of_detr(imported):
    rows = [
        {"train_lr": 1e-4, "train_loss": 9 - n, "test_loss": 9.5 - n, "test_coco_eval_bbox": [0.1], "epoch": n, "n_parameters": 7}
        for n in range(3)
    ]
    case = imported(lines(*rows), "log.txt")
    assert column(case, "val_loss") == [9.5, 8.5, 7.5] and case.info["log"]["step_unit"] == "epoch"


def test_ray_tune(imported, tmp_path):
    (tmp_path / "my-run").mkdir()
    (tmp_path / "my-run" / "params.json").write_text('{"lr": 0.1, "layers": [1, 2]}')
    rows = [
        {"loss": 1 / n, "training_iteration": n, "time_total_s": 3.5 * n, "done": False, "config": {"lr": 0.1, "x": {"y": 2}}}
        for n in (1, 2)
    ]
    case = imported(lines(*rows).replace("0.5", "NaN"), "result.json")
    assert case.info["origin"] == "Ray Tune"
    assert case.metrics[1]["nonfinite"] == {"loss": "nan"} and column(case, "t") == [3.5, 7.0]
    assert case.info["columns"]["config/lr"] == "user.config/lr" and case.info["log"]["hparams"] == {"lr": 0.1}


def test_objects_in_objects_numbers_as_text_and_what_is_none(imported):
    rows = [
        {"step": 1, "train": {"loss": "0.791"}, "eval": {"loss": 0.8}, "ok": True, "note": "x", "none": None, "list": [1]},
        {"step": 2, "train": {"loss": 0.5}},
    ]
    case = imported(lines(*rows), "log.jsonl")
    assert column(case, "loss") == [0.791, 0.5] and column(case, "val_loss") == [0.8, None]
    assert set(case.info["columns"]) == {"step", "train/loss", "eval/loss"}


def test_torn_and_foreign_lines_are_counted(imported):
    text = '{"step": 0, "loss": 2.0}\n{"step": 1, "loss": 1.0}\nTraceback (most recent call last):\n'
    text += '{"step": 2, "loss": Infinity}\n[1]\n\n{"step": 3, "lo'
    case = imported(text, "log.jsonl")
    assert column(case, "step") == [0, 1, 2]
    assert errors(case) == [
        "lines left out that are no JSON objects: 2 (the first is line 3)",
        "lines left out that are cut off at the end: 1 (line 7)",
    ]
    assert case.info["log"]["unreadable"] == 3


def test_a_step_that_goes_back_begins_a_segment(imported):
    case = imported(lines(*({"step": step, "loss": 0.5} for step in (10, 20, 30, 20, 30, 40))), "log.jsonl")
    assert [row.get("segment", 0) for row in case.metrics] == [0, 0, 0, 1, 1, 1]


@pytest.mark.parametrize(
    "document",
    [
        {"loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 1.5], "params": {"epochs": 3}},
        {"history": {"loss": [3.0, 2.0, 1.0], "val_loss": [3.5, 2.5, 1.5]}, "seed": 1},
        {"train": {"loss": [3.0, 2.0, 1.0]}, "val": {"loss": [3.5, 2.5, 1.5]}},
        [{"loss": 3.0, "val_loss": 3.5}, {"loss": 2.0, "val_loss": 2.5}, {"loss": 1.0, "val_loss": 1.5}],
        {"epochs": [{"loss": 3.0, "val_loss": 3.5}, {"loss": 2.0, "val_loss": 2.5}, {"loss": 1.0, "val_loss": 1.5}]},
        [
            {"train": {"loss": 3.0}, "val": {"loss": 3.5}},
            {"train": {"loss": 2.0}, "val": {"loss": 2.5}},
            {"train": {"loss": 1}, "val": {"loss": 1.5}},
        ],
    ],
)
def test_histories(imported, document):
    for indent in (None, 2):
        case = imported(json.dumps(document, indent=indent), "history.json")
        assert column(case, "loss") == [3.0, 2.0, 1.0] and column(case, "val_loss") == [3.5, 2.5, 1.5]
        assert column(case, "step") == [0, 1, 2] and case.info["log"]["step_unit"] == "row"


def test_lists_of_another_length(imported):
    case = imported(
        {"train_losses": [6, 5, 4, 3, 2, 1], "val_losses": [4.5, None, float("nan")], "lr": [0.1, 0.1, "x", 0.1]}, "history.json"
    )
    assert column(case, "val_loss") == [None, 4.5, None, None, None, None]
    assert case.metrics[5]["nonfinite"] == {"val_loss": "nan"}
    assert [row.get("lr") for row in case.metrics] == [0.1, 0.1, None, 0.1, None, None]
    assert errors(case) == ["entries of lists left out that are no numbers: 1"]


def test_a_long_history_is_recognised_by_its_beginning(imported):
    case = imported({"loss": [1 / (n + 1) for n in range(20_000)], "val_loss": [0.5] * 20_000}, "history.json")
    assert len(case.metrics) == 20_000


@pytest.mark.parametrize("cut", [200, 90_000])
def test_a_history_that_is_cut_off_says_so(imported, cut):
    text = json.dumps({"loss": [0.125] * 20_000})[:cut]
    with pytest.raises(CaseError, match="cut off"):
        imported(text, "history.json")


@pytest.mark.parametrize("document", [{"name": [1, 2]}, [1, 2], {"loss": ["a"]}, [], {}, {"model": {"loss": {"x": [1]}}}])
def test_other_documents_are_no_histories(imported, document):
    with pytest.raises(CaseError, match="no log that Cognate can read"):
        imported(document, "document.json")


def test_dvclive(tmp_path):
    folder = tmp_path / "my-run" / "dvclive"
    for name, rows in {"train/loss": "0\t2.0\n1\tnan\n2\t1.0\n", "val/loss": "0\t2.5\n2\t1.5\n", "acc": "1\t0.5\nx"}.items():
        table = folder / "plots" / "metrics" / f"{name}.tsv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text(f"step\t{name.rpartition('/')[2]}\n{rows}")
    (folder / "metrics.json").write_text('{"train": {"loss": 1.0}, "step": 2}')
    (folder / "params.yaml").write_text("lr: 0.5\n")
    for number, path in enumerate((folder.parent, folder, folder / "metrics.json", folder / "plots" / "metrics")):
        import_run(path, tmp_path / str(number))
        case = Case.open(tmp_path / str(number))
        assert case.info["origin"] == "DVCLive" and case.info["title"] == "my-run/dvclive"
        assert column(case, "loss") == [2.0, None, 1.0] and column(case, "val_loss") == [2.5, None, 1.5]
        assert case.metrics[1]["nonfinite"] == {"loss": "nan"} and case.metrics[1]["user"] == {"acc": 0.5}
        assert case.info["log"]["hparams"] == {"lr": 0.5} and case.info["log"]["last_step"] == 2
        assert errors(case) == ["lines left out that are cut off at the end: 1 (line 3)"]
