"""Stores of several runs: MLflow's database and files, Trackio's database, sessions of ClearML."""

import json
import math
import sqlite3
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognate.case.case import Case
from cognate.errors import CaseError
from cognate.observe.logs import clearml, import_run, mlflow, sqlite, trackio
from cognate.observe.logs.write import rows_of

MLFLOW = """
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL, name VARCHAR(250), status VARCHAR(9), start_time BIGINT, end_time BIGINT,
 lifecycle_stage VARCHAR(20), experiment_id INTEGER, PRIMARY KEY (run_uuid));
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL, run_uuid VARCHAR(32) NOT NULL,
 step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
 PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
"""
TRACKIO = """
CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL, run_name TEXT NOT NULL,
 step INTEGER NOT NULL, metrics TEXT NOT NULL);
"""


def insert_run(connection, identity, name, losses, stage="active"):
    connection.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 0, 1, ?, 1)", (identity, name, stage))
    for step, loss in enumerate(losses):
        value, is_nan = (0.0, 1) if math.isnan(loss) else (max(-1.7976931348623157e308, min(loss, 1.7976931348623157e308)), 0)
        rows = [("train_loss", value, is_nan), ("lr", 0.1, 0), ("system/cpu", 3.0, 0)]
        for key, number, nan in rows:
            connection.execute(
                "INSERT INTO metrics VALUES (?, ?, ?, ?, ?, ?)", (key, number, 1_000_000 + 1000 * step, identity, step, nan)
            )


@pytest.fixture
def database(tmp_path):
    file = tmp_path / "mlflow.db"
    connection = sqlite3.connect(file)
    connection.executescript(MLFLOW)
    insert_run(connection, "a" * 32, "good", [1 / (1 + step) for step in range(30)])
    insert_run(connection, "b" * 32, "bad", [1.0, math.inf, -math.inf, math.nan])
    insert_run(connection, "c" * 32, "gone", [1.0], stage="deleted")
    connection.execute("INSERT INTO runs VALUES ('d', 'never logged', 'RUNNING', 0, 1, 'active', 1)")
    connection.commit()
    connection.close()
    return file


def rows(run):
    return run.rows or list(rows_of(run.series))


def test_a_run_of_the_database_becomes_a_case(database, tmp_path):
    import_run(database, tmp_path / "case", run="good")
    case = Case.open(tmp_path / "case")
    assert case.info["title"] == "good" and case.info["columns"] == {"train_loss": "loss", "lr": "lr"}
    assert case.info["integrity"]["finished"] is True and case.steps == 29
    assert case.metrics[1] == {"step": 1, "t": 1.0, "loss": 0.5, "lr": 0.1}


def test_what_mlflow_writes_for_numbers_that_are_not_finite(database):
    flags = [row.get("nonfinite", {}).get("loss") for row in rows(mlflow.read(database, "bad"))]
    assert flags == [None, "inf", "-inf", "nan"]


def test_runs_that_were_deleted_or_never_logged_are_none(database):
    assert mlflow.runs(database) == ["good", "bad"]


@pytest.mark.parametrize(("name", "says"), [(None, "holds 2 runs .good, bad.: name one"), ("x", "no run called 'x'")])
def test_which_run_is_meant_has_to_be_clear(database, name, says):
    with pytest.raises(CaseError, match=says):
        mlflow.read(database, name)


def test_runs_of_one_name_are_told_apart(database):
    with sqlite3.connect(database) as connection:
        insert_run(connection, "e" * 32, "bad", [5.0, 6.0])
    assert mlflow.runs(database) == ["good", "bad (bbbbbbbb)", "bad (eeeeeeee)"]
    assert rows(mlflow.read(database, "bad (eeeeeeee)"))[0]["loss"] == 5.0


def test_rows_in_the_log_beside_a_database_that_is_in_use_are_read(database):
    writer = sqlite3.connect(database)
    writer.execute("PRAGMA journal_mode=WAL")
    insert_run(writer, "f" * 32, "live", [1.0, 2.0])
    writer.commit()
    assert database.with_name("mlflow.db-wal").stat().st_size
    before = sorted(item.name for item in database.parent.iterdir())
    assert "live" in mlflow.runs(database)
    assert sorted(item.name for item in database.parent.iterdir()) == before
    writer.close()


def test_nothing_is_written_into_a_folder_that_is_read_only_in_spirit(database):
    before = (database.read_bytes(), sorted(item.name for item in database.parent.iterdir()))
    mlflow.read(database, "good")
    assert (database.read_bytes(), sorted(item.name for item in database.parent.iterdir())) == before


def test_a_view_that_never_ends_is_no_table(tmp_path):
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(
            MLFLOW.split(";")[0] + ";CREATE VIEW metrics AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"
            " SELECT 'loss' AS key, x AS value, x AS timestamp, 'a' AS run_uuid, x AS step, 0 AS is_nan FROM n;"
        )
    assert mlflow.find(file) is None


def test_work_without_end_is_interrupted(database, monkeypatch):
    monkeypatch.setattr(sqlite, "_MOST_WORK", 0)
    monkeypatch.setattr(sqlite, "_WORK_STEP", 10)
    with pytest.raises(CaseError, match="more work than a log"), sqlite.opened(database) as connection:
        connection.execute("SELECT count(*) FROM metrics a, metrics b, metrics c").fetchall()


def test_values_of_the_wrong_type_are_counted(database):
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE metrics SET value = 'junk' WHERE step = 3 AND key = 'lr'")
        connection.execute("UPDATE metrics SET step = x'00ff' WHERE step = 4 AND key = 'lr'")
    run = mlflow.read(database, "good")
    assert run.facts["unreadable"] == 2 and "2 rows" in run.errors[0]


@settings(max_examples=60)
@given(data=st.data())
def test_a_damaged_database_is_a_sentence_or_read(tmp_path_factory, data):
    file = tmp_path_factory.mktemp("torn") / "mlflow.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(MLFLOW)
        insert_run(connection, "a" * 32, "good", [1.0] * 300)
    connection.close()
    content = bytearray(file.read_bytes())
    for place, mask in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(1, 255)), max_size=8)):
        content[place] ^= mask
    file.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        found = mlflow.find(file)
        if found is not None and mlflow.runs(found):
            mlflow.read(found)
    except CaseError:
        pass


@pytest.fixture
def file_store(tmp_path):
    run = tmp_path / "mlruns" / "0" / ("a" * 32)
    (run / "metrics" / "val").mkdir(parents=True)
    (run / "meta.yaml").write_text("artifact_uri: file:///x\nrun_name: brave-fox\nstatus: 3\n")
    (run / "metrics" / "loss").write_text("".join(f"{1000 + step} {1 / (1 + step)} {step}\n" for step in range(40)))
    (run / "metrics" / "val" / "loss").write_text("1009 0.5 9\n1019 nan 19\njunk\n1029 0.25 29\n")
    return run


def test_the_store_in_files_is_read(file_store, tmp_path):
    import_run(file_store, tmp_path / "case")
    case = Case.open(tmp_path / "case")
    assert case.info["title"] == "brave-fox" and case.info["integrity"]["finished"] is True
    assert case.info["columns"] == {"loss": "loss", "val/loss": "val_loss"}
    assert case.metrics[9]["val_loss"] == 0.5 and case.metrics[19]["nonfinite"] == {"val_loss": "nan"}
    assert case.info["log"]["unreadable"] == 1


def test_a_restart_in_the_store_is_a_segment_of_all_metrics(file_store):
    with (file_store / "metrics" / "loss").open("a") as stream:
        stream.writelines(f"{2000 + step} 7.0 {step}\n" for step in range(20, 60))
    with (file_store / "metrics" / "val" / "loss").open("a") as stream:
        stream.write("2049 9.0 49\n")
    read = rows(mlflow.read(file_store))
    assert [row["step"] for row in read if row.get("segment")] == list(range(20, 60))
    assert [row["val_loss"] for row in read if row["step"] == 49] == [9.0]


@pytest.fixture
def project(tmp_path):
    file = tmp_path / "my-project.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(TRACKIO)
        for identity, name in (("1", "first"), ("2", "second")):
            for step in range(20):
                loss = "NaN" if step > 15 else 1 / (1 + step)
                text = json.dumps({"train": {"loss": loss}, "lr": 0.1, "note": "x"})
                time = f"2026-01-02T03:04:{step:02}+00:00"
                row = (identity, time, name, step, text.encode() if step % 2 else text)
                connection.execute("INSERT INTO metrics(run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)", row)
    return file


def test_a_trackio_project_is_read(project, tmp_path):
    assert trackio.runs(project) == ["first", "second"]
    import_run(project, tmp_path / "case", run="second")
    case = Case.open(tmp_path / "case")
    assert case.info["columns"] == {"train.loss": "loss", "lr": "lr"} and case.info["log"]["project"] == "my-project"
    assert case.metrics[1] == {"step": 1, "t": 1.0, "loss": 0.5, "lr": 0.1}
    assert case.metrics[16]["nonfinite"] == {"loss": "nan"}


def test_rows_of_trackio_that_are_no_json_are_counted(project):
    with sqlite3.connect(project) as connection:
        connection.execute("UPDATE metrics SET metrics = '{' WHERE step = 3")
        connection.execute("UPDATE metrics SET metrics = ? WHERE step = 4", ("[" * 100_000,))
    assert trackio.read(project, "first").facts["unreadable"] == 2


def scalars(count, name="loss", kind="training_stats_scalar"):
    return [
        {"timestamp": 1000 * n, "type": kind, "iter": n, "metric": name, "variant": side, "value": 1 / (1 + n)}
        for n in range(count)
        for side in ("train", "val")
    ]


@pytest.fixture
def session(tmp_path):
    def make(*lines, archive=False):
        folder = tmp_path / "offline-0123"
        folder.mkdir(exist_ok=True)
        (folder / "metrics.jsonl").write_text(
            "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        )
        (folder / "task.json").write_text(json.dumps({"name": "my task", "project_name": "p"}))
        if not archive:
            return folder
        with zipfile.ZipFile(tmp_path / "offline-0123.zip", "w", zipfile.ZIP_DEFLATED) as packed:
            for item in folder.iterdir():
                packed.write(item, item.name)
        return tmp_path / "offline-0123.zip"

    return make


@pytest.mark.parametrize("archive", [False, True])
def test_a_session_of_clearml_is_read(session, tmp_path, archive):
    once = {"type": "training_stats_scalar", "iter": -(1 << 31), "metric": "Summary", "variant": "best", "value": 1.0}
    path = session(scalars(10), [*scalars(1, ":monitor:gpu"), *scalars(3, kind="log"), once], archive=archive)
    import_run(path, tmp_path / "case")
    case = Case.open(tmp_path / "case")
    assert case.info["title"] == "my task" and case.info["columns"] == {"loss/train": "loss", "loss/val": "val_loss"}
    assert len(case.metrics) == 10 and case.metrics[1]["val_loss"] == 0.5


def test_lines_of_a_session_that_are_torn_are_counted(session):
    path = session(scalars(10), '[{"type": "training_stats_scalar", "iter"', "\n", ["x", {"type": "training_stats_scalar"}])
    run = clearml.read(clearml.find(path))
    assert run.facts["unreadable"] == 3 and len(run.series["loss"]) == 10


def test_an_archive_that_unpacks_without_end_is_left_early(session, monkeypatch):
    monkeypatch.setattr(clearml, "_LARGEST", 10_000)
    run = clearml.read(clearml.find(session(*[scalars(10)] * 100, archive=True)))
    assert "was left out" in run.errors[-1] and run.facts["unreadable"]


def test_an_archive_of_something_else_is_no_session(tmp_path):
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as packed:
        packed.writestr("data.pkl", b"\x80\x04K\x01.")
    assert clearml.find(tmp_path / "weights.zip") is None
