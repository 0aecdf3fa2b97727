"""Tables of text as tools and people leave them."""

import codecs

import pytest

KERAS = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,0.9,0.4,1.0\n1,0.6,0.7,0.5,0.8\n2,0.7,0.5,0.6,0.7\n"


def column(case, name):
    return [row.get(name) for row in case.metrics]


def user(case, name):
    return [row.get("user", {}).get(name) for row in case.metrics]


def log_of(case):
    return case.info["log"]


def errors(case):
    return case.info["integrity"]["errors"]


def test_keras(imported):
    case = imported(KERAS, "training_log.csv")
    assert case.info["origin"] == "Keras CSVLogger"
    assert log_of(case)["step_unit"] == "epoch"
    assert case.metrics[1] == {
        "step": 1,
        "epoch": 1.0,
        "loss": 0.7,
        "val_loss": 0.8,
        "user": {"accuracy": 0.6, "val_accuracy": 0.5},
    }
    assert errors(case) == [] and log_of(case)["unreadable"] == 0


def test_lightning_joins_the_rows_of_a_step_and_puts_late_means_where_they_belong(imported):
    text = """epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_loss
,0.001,49,,,
0,,49,,2.0,
0,,99,,1.5,
0,,99,,,1.8
0,,98,1.7,,
,0.0005,149,,,
1,,149,,1.2,
"""
    case = imported(text, "metrics.csv")
    assert case.info["origin"] == "Lightning metrics"
    assert column(case, "step") == [49, 98, 99, 149]
    assert column(case, "loss") == [2.0, None, 1.5, 1.2]
    assert column(case, "lr") == [0.001, None, None, 0.0005]
    assert column(case, "val_loss") == [None, None, 1.8, None]
    assert user(case, "train_loss_epoch")[1] == 1.7
    assert not any("segment" in row for row in case.metrics)


def test_ultralytics_padded_and_trained_twice_into_one_folder(imported):
    header = "                  epoch,         train/box_loss,           val/box_loss,           lr/pg0\n"
    rows = "".join(
        f"                  {epoch},   {1 / (epoch + 1):.5g},   {2 / (epoch + 1):.5g},   1e-05\n" for epoch in range(4)
    )
    case = imported(header + rows + header + rows, "results.csv")
    assert case.info["origin"] == "Ultralytics results"
    assert column(case, "epoch") == [0, 1, 2, 3] * 2
    assert [row.get("segment", 0) for row in case.metrics] == [0] * 4 + [1] * 4
    assert not any("loss" in row or "val_loss" in row for row in case.metrics)
    assert user(case, "val/box_loss")[:2] == [2.0, 1.0]
    assert "headers repeated" in errors(case)[0]
    assert log_of(case)["unreadable"] == 0


def test_an_agents_progress_is_counted_by_environment_steps_and_said_to_be_one(imported):
    text = (
        "time/time_elapsed,time/iterations,time/total_timesteps,train/loss,rollout/ep_rew_mean\n3,1,2048,,\n6,2,4096,0.5,10.5\n"
    )
    case = imported(text, "progress.csv")
    assert column(case, "step") == [2048, 4096] and column(case, "t") == [3.0, 6.0]
    assert column(case, "loss") == [None, 0.5]
    assert log_of(case)["training"] == "reinforcement"


def test_batches_that_begin_again_in_every_epoch_are_no_steps(imported):
    rows = "".join(f"{epoch},{batch},{0.7},{1.3}\n" for epoch in range(4) for batch in range(5))
    case = imported("Epoch,Batch,Gen Loss,Disc Loss\n" + rows, "log.csv")
    assert log_of(case)["step_unit"] == "row" and log_of(case)["training"] == "adversarial"
    assert column(case, "step") == list(range(20)) and not any("segment" in row for row in case.metrics)
    assert user(case, "Batch")[6] == 1.0


def test_an_epoch_that_begins_again_is_a_restart_even_after_one_epoch(imported):
    case = imported("epoch,loss,val_loss\n" + "".join(f"{epoch},0.7,0.7\n" for epoch in (0, 0, 1, 2, 0, 1)), "log.csv")
    assert [row.get("segment", 0) for row in case.metrics] == [0, 1, 1, 1, 2, 2]


def test_seconds_for_each_epoch_are_no_clock(imported):
    case = imported("epoch,time,loss\n0,12.5,1\n1,11.0,0.9\n2,12.0,0.8\n", "log.csv")
    assert user(case, "time") == [12.5, 11.0, 12.0] and column(case, "t") == [None] * 3
    assert case.info["columns"]["time"] == "user.time"


def test_unix_times_begin_with_the_log(imported):
    case = imported("step,timestamp,loss\n1,1700000000.5,1\n2,1700000003.0,0.9\n", "log.csv")
    assert column(case, "t") == [0.0, 2.5]


DIRTY = {
    "carriage returns": (KERAS.replace("\n", "\r\n").encode(), None),
    "old Mac": (KERAS.replace("\n", "\r").encode(), None),
    "byte order mark": (codecs.BOM_UTF8 + KERAS.encode(), None),
    "UTF-16": (codecs.BOM_UTF16_LE + KERAS.encode("utf-16-le"), None),
    "UTF-16 without a mark": (KERAS.encode("utf-16-be"), None),
    "tabs": (KERAS.replace(",", "\t").encode(), None),
    "semicolons": (KERAS.replace(",", ";").encode(), None),
    "quotes": (KERAS.replace("loss", '"loss"').replace("0.7", '"0.7"').encode(), None),
    "padding": (KERAS.replace(",", " ,  ").encode(), None),
    "comments": (b"# run 7\n" + KERAS.encode(), None),
    "blank lines": (KERAS.replace("\n", "\n\n").encode(), None),
    "no line end": (KERAS.rstrip("\n").encode(), None),
    "merge": (
        KERAS.replace("2,0.7", "<<<<<<< HEAD\n2,0.7").encode() + b"=======\n>>>>>>> other\n",
        "merge (both versions between them are read): 3",
    ),
    "torn": (KERAS.encode() + b"3,0.8,0.", "cut off at the end: 1 (line 5)"),
    "NUL bytes": (KERAS.encode() + bytes(4096), "killed writer: 4,096"),
    "header again": (
        (KERAS + KERAS.split("\n")[0] + "\n").encode(),
        "headers repeated where the log was continued or joined: 1 (line 5)",
    ),
    "text between": (
        KERAS.replace("1,0.6", "saved a model\n1,0.6").encode(),
        "hold no number: 1 (line 3)",
    ),
}


@pytest.mark.parametrize(("content", "says"), DIRTY.values(), ids=DIRTY)
def test_dirt_changes_nothing_and_is_counted(imported, content, says):
    case = imported(content, "log.csv")
    assert column(case, "loss") == [0.9, 0.7, 0.5]
    assert column(case, "val_loss") == [1.0, 0.8, 0.7]
    assert len(errors(case)) == (says is not None)
    assert says is None or says in errors(case)[0]


def test_what_is_no_number_in_a_column_of_numbers_is_counted_and_not_guessed_at(imported):
    case = imported(
        'epoch,loss,date,size\n0,0.5,monday,"1,000"\n1,oops,tuesday,"2,000"\n2,0.3,friday,900\n3,NaN,,\n4,-inf,,1_000\n',
        "log.csv",
    )
    assert column(case, "loss") == [0.5, None, 0.3, None, None]
    assert [row.get("nonfinite") for row in case.metrics] == [None, None, None, {"loss": "nan"}, {"loss": "-inf"}]
    assert user(case, "size") == [None, None, 900.0, None, None]
    assert "date" not in case.info["columns"]
    assert errors(case) == ["cells left out that are no numbers, in columns of numbers: 4"]


def test_rows_of_another_length(imported):
    case = imported("epoch,loss,acc\n0,0.5\n1,0.4,0.9\n2,0.3,0.9,7\n", "log.csv")
    assert column(case, "loss") == [0.5, 0.4, 0.3]
    assert len(errors(case)) == 2


def test_a_run_appended_with_other_columns_is_read_by_its_own_header(imported):
    case = imported("epoch,loss,acc\n0,0.5,0.1\n1,0.4,0.2\nepoch,loss,val_loss,acc\n0,0.6,0.7,0.3\n1,0.5,0.6,0.4\n", "log.csv")
    assert column(case, "val_loss") == [None, None, 0.7, 0.6]
    assert user(case, "acc") == [0.1, 0.2, 0.3, 0.4]
    assert [row.get("segment", 0) for row in case.metrics] == [0, 0, 1, 1]


def test_names_of_rows_that_have_no_header(imported):
    case = imported("epoch loss lr\n1 0 0.5 0.1\n2 1 0.4 0.1\n".replace(" ", "\t"), "log.tsv")
    assert column(case, "loss") == [0.5, 0.4]


@pytest.mark.parametrize(
    ("name", "column_name", "role"),
    [
        ("run-validation-tag-epoch_loss.csv", "validation/epoch_loss", "val_loss"),
        ("run-.-tag-Loss_train.csv", "Loss_train", "loss"),
        ("loss.csv", "loss", "loss"),
    ],
)
def test_a_table_that_tensorboard_exported_is_named_by_its_file(imported, name, column_name, role):
    case = imported("Wall time,Step,Value\n1700000000.0,10,0.5\n1700000002.0,20,0.4\n", name)
    assert case.info["columns"][column_name] == role and column(case, role) == [0.5, 0.4]
    assert column(case, "t") == [0.0, 2.0] and column(case, "step") == [10, 20]


def test_numbers_that_a_script_forgot_to_unwrap(imported):
    text = 'epoch,loss,acc,lr\n0,"tensor(0.5, device=\'cuda:0\')",[0.25],tensor(nan)\n1,tensor(0.25),[1e-3],"tensor([[1, 2]])"\n'
    case = imported(text, "log.csv")
    assert column(case, "loss") == [0.5, 0.25] and user(case, "acc") == [0.25, 0.001]
    assert case.metrics[0]["nonfinite"] == {"lr": "nan"} and len(errors(case)) == 1


def test_a_loss_that_is_text_is_said_to_be_missing(imported):
    case = imported("epoch,loss,day\n0,low,monday\n1,high,tuesday\n", "log.csv")
    assert errors(case) == ["columns left out that have no number (loss): 1"]


def test_duplicate_names_are_told_apart(imported):
    case = imported("epoch,loss,acc,acc\n0,1,0.1,0.2\n1,0.5,0.3,0.4\n", "log.csv")
    assert user(case, "acc") == [0.1, 0.3] and user(case, "acc.1") == [0.2, 0.4]


def test_settings_beside_the_log_are_facts(imported, tmp_path):
    (tmp_path / "my-run").mkdir()
    text = "lr: 0.001\nmodel: resnet18\nlayers:\n- 3\nnested: {a: 1}\nsteps: !!python/object:os.system x\n"
    (tmp_path / "my-run" / "hparams.yaml").write_text(text)
    case = imported("epoch,step,loss\n0,1,0.5\n0,2,0.4\n", "metrics.csv")
    assert log_of(case)["hparams"] == {"lr": 0.001, "model": "resnet18"}


@pytest.mark.parametrize(("epochs", "finished"), [(9, False), (3, True), ("x", False)])
def test_a_run_that_reached_what_its_settings_ask_for_is_finished(imported, tmp_path, epochs, finished):
    (tmp_path / "my-run").mkdir()
    (tmp_path / "my-run" / "args.yaml").write_text(f"task: detect\nepochs: {epochs}\n")
    for first in (0, 1):
        rows = "".join(f"{first + number},0.5,0.5\n" for number in range(3))
        case = imported("epoch,train/box_loss,val/box_loss\n" + rows, "results.csv")
        assert case.info["integrity"]["finished"] is finished


@pytest.mark.parametrize(
    "content",
    [
        "sepal length,sepal width,class\n5.1,3.5,0\n4.9,3.0,0\n",
        "Step 1, loss: 0.5, acc: 0.3\nStep 2, loss: 0.4, acc: 0.4\n",
        "1,2,3\n4,5,6\n",
        "name,description\nloss,the loss\nacc,the accuracy\n",
        "loss\n",
        "\n\n\n",
    ],
)
def test_other_texts_are_no_tables_of_a_run(imported, content):
    from cognate.errors import CaseError

    with pytest.raises(CaseError, match="no log that Cognate can read"):
        imported(content, "data.csv")


def test_a_folder_is_read_by_its_latest_version(imported, tmp_path):
    from cognate.case.case import Case
    from cognate.observe.logs import import_run

    for number, loss in ((2, 0.2), (10, 0.1)):
        folder = tmp_path / "lightning_logs" / f"version_{number}"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"epoch,step,train_loss\n0,1,{loss}\n")
    import_run(tmp_path / "lightning_logs", tmp_path / "case")
    assert column(Case.open(tmp_path / "case"), "loss") == [0.1]
