"""`cognate doctor` on folders, databases and lists of runs, by the real command."""

import json
import sqlite3

import fsspec
import pytest

from cognate.observe.logs.discover import discover

HEALTHY = [4.0, 3.0, 2.5, 2.0]


@pytest.fixture
def log(project):
    def write(name, losses, **more):
        file = project / name
        file.parent.mkdir(parents=True, exist_ok=True)
        history = [{"step": 10 * step, "loss": loss, "epoch": step / 10} for step, loss in enumerate(losses, 1)]
        history += [{"step": 10, "eval_loss": 5.0}, {"step": 20, "eval_loss": 3.5}]
        history.sort(key=lambda entry: entry["step"])
        file.write_text(json.dumps({"global_step": 10 * len(losses), "max_steps": 0, "log_history": history, **more}))
        return file

    return write


@pytest.fixture
def several(log, make_case):
    for seed in range(4):
        log(f"runs/seed-{seed}/trainer_state.json", HEALTHY)
    log("runs/seed-10/trainer_state.json", [4.0, 20.0, 60.0, 99.0])
    log("runs/seed-10/checkpoint-20/trainer_state.json", HEALTHY)
    make_case("runs/recorded", loss=0.5)
    return "runs"


def test_a_folder_of_runs_is_a_table(cli, several):
    done = cli("doctor", several)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0].startswith("6 runs in runs: 1 unhealthy")
    rows = [line for line in lines if "seed-" in line or "recorded" in line]
    assert [row.split()[1] for row in rows] == ["recorded", *(f"seed-{n}" for n in (0, 1, 2, 3, 10))], "in the order of people"
    assert rows[-1].split()[-4:] == ["40", "99", "3.5", "unhealthy"]
    assert "the loss ends at 99 (ZZZ101 loss-too-high)" in done.stdout
    assert lines[-1].strip() == "one of them in full: cognate doctor runs/RUN"


def test_the_odd_one_among_siblings_has_a_note_that_is_no_finding(cli, several):
    runs = json.loads(cli("doctor", several, "--format", "json").stdout)
    assert [run["run"] for run in runs if run["note"]] == ["seed-10"]
    odd = runs[-1]
    assert odd["note"] == "loss ends at 99; its 4 siblings have a median of 2 there"
    assert not any(odd["note"] in json.dumps(part) for part in (odd["diagnosis"]["root_causes"], odd["diagnosis"]["findings"]))


def test_the_list_for_machines_has_the_whole_diagnosis_of_each(cli, several):
    runs = json.loads(cli("doctor", several, "--format", "json").stdout)
    assert [run["diagnosis"]["status"] for run in runs] == [run["status"] for run in runs]
    assert runs[1]["final_loss"] == {"name": "loss", "value": 2.0, "step": 40}
    assert runs[1]["best_validation"] == {"name": "eval_loss", "value": 3.5, "step": 20}
    assert runs[1]["diagnosis"]["subject"]["path"] == "seed-0"


def test_several_targets_are_judged_like_a_folder(cli, several, project):
    done = cli("doctor", "runs/seed-0", "runs/seed-1", "runs/recorded")
    assert done.returncode == 0
    assert done.stdout.startswith("3 runs in 3 targets:")
    (project / "runs" / "notes.bin").write_bytes(b"\x00\x01")
    done = cli("doctor", "runs/seed-0", "runs/notes.bin")
    assert done.returncode == 2 and "no log that Cognate can read" in done.stdout, "what was named is answered"


def test_many_runs_are_judged_in_several_processes_with_the_same_result(cli, log):
    for seed in range(7):
        log(f"runs/{seed}/trainer_state.json", [4.0, 3.0, 2.0, float(seed)])
    runs = json.loads(cli("doctor", "runs", "--format", "json").stdout)
    assert [run["final_loss"]["value"] for run in runs] == [float(seed) for seed in range(7)]


def test_the_exit_code_is_that_of_the_worst_run(cli, log, make_case):
    log("runs/a/trainer_state.json", HEALTHY)
    log("runs/b/trainer_state.json", [], note="nothing logged")
    (log("runs/b/trainer_state.json", HEALTHY)).write_text('{"log_history": [')
    assert cli("doctor", "runs").returncode == 2
    log("runs/c/trainer_state.json", [4.0, 99.0])
    assert cli("doctor", "runs").returncode == 1
    make_case("runs/d", title="boom")
    assert cli("doctor", "runs").returncode == 3


def test_a_folder_with_a_single_run_somewhere_is_that_run(cli, log):
    log("work/deep/inside/trainer_state.json", [4.0, 99.0])
    done = cli("doctor", "work")
    assert done.returncode == 1 and "UNHEALTHY" in done.stdout and "work/deep/inside" in done.stdout


def test_a_folder_without_a_run_keeps_its_meaning(cli, project):
    (project / "src").mkdir()
    (project / "src" / "data.csv").write_text("a,b\n1,2\n3,4\n")
    done = cli("doctor", "src")
    assert "runs in" not in done.stdout


def test_cases_of_several_runs_can_be_kept(cli, several, project):
    assert cli("doctor", several, "--case", "kept", "-q").stdout == ""
    assert sorted(item.name for item in (project / "kept").iterdir())[0] == "002-seed-0", "a case of ours stays where it is"
    assert (project / "kept" / "002-seed-0" / "case.json").is_file()


def test_markdown_goes_into_a_file(cli, several, project):
    cli("doctor", several, "--format", "markdown", "-o", "out.md")
    text = (project / "out.md").read_text(encoding="utf-8")
    assert "| run | format |" in text and "| seed-10 | huggingface trainer_state | 40 | 99 | 3.5 | unhealthy |" in text


@pytest.fixture
def database(project):
    with sqlite3.connect(project / "mlflow.db") as connection:
        connection.executescript(
            "CREATE TABLE runs (run_uuid TEXT PRIMARY KEY, name TEXT, status TEXT, lifecycle_stage TEXT);"
            "CREATE TABLE metrics (key TEXT, value FLOAT, timestamp BIGINT, run_uuid TEXT, step BIGINT, is_nan BOOLEAN);"
        )
        for name, end in (("good", 1.0), ("bad", 99.0)):
            connection.execute("INSERT INTO runs VALUES (?, ?, 'FINISHED', 'active')", (name, name))
            for step, value in enumerate((4.0, 3.0, end)):
                connection.execute("INSERT INTO metrics VALUES ('loss', ?, ?, ?, ?, 0)", (value, 1000 * step, name, step))
    return "mlflow.db"


def test_each_run_of_a_database_is_a_row(cli, database):
    done = cli("doctor", database)
    assert done.returncode == 1
    assert "mlflow.db::good" in done.stdout and "mlflow.db::bad" in done.stdout


@pytest.mark.parametrize("words", [("mlflow.db", "--run", "bad"), ("mlflow.db::bad",)])
def test_one_run_of_a_database_is_chosen_by_name(cli, database, words):
    done = cli("doctor", *words)
    assert done.returncode == 1 and "the loss ends at 99" in done.stdout and "good" not in done.stdout


def test_a_run_that_the_database_has_not_is_one_sentence(cli, database):
    done = cli("doctor", database, "--run", "ugly")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "cognate: mlflow.db holds no run called 'ugly': it has good, bad.\n"


def test_a_run_of_a_log_that_holds_one_is_one_sentence(cli, log):
    log("a/trainer_state.json", HEALTHY)
    done = cli("doctor", "a/trainer_state.json", "--run", "x")
    assert done.returncode == 2 and "holds one run" in done.stderr


def test_a_script_is_examined_alone(cli, log, project):
    log("a/trainer_state.json", HEALTHY)
    (project / "train.py").write_text("print(1)\n")
    done = cli("doctor", "a", "train.py")
    assert done.returncode == 2 and "examine it alone" in done.stderr


def test_an_address_elsewhere_is_fetched(project, log, monkeypatch, capsys):
    from cognate.cli.doctor import Asked, doctor

    files = fsspec.filesystem("memory")
    for seed in (1, 2):
        files.pipe(f"/bucket/runs/{seed}/trainer_state.json", log("x.json", HEALTHY).read_bytes())
    files.pipe("/bucket/runs/1/model.safetensors", bytes(100))
    (project / "x.json").unlink()
    assert doctor(Asked("memory://bucket/runs")) == 0
    assert capsys.readouterr().out.startswith("2 runs in memory://bucket/runs:")
    assert doctor(Asked("memory://bucket/runs/1/trainer_state.json")) == 0
    assert "memory://bucket/runs/1/trainer_state.json" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("memory://nothing/here", "nothing at memory://nothing/here"),
        ("nonsense://x/y", "no address that fsspec knows"),
        ("s3://bucket/run", "needs another package"),
    ],
)
def test_an_address_that_cannot_be_read_is_one_sentence(cli, address, says):
    done = cli("doctor", address)
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1


def test_the_search_passes_over_packages_links_and_what_is_hidden(log, project):
    for place in (".git", "node_modules", "lib/site-packages", "runs/checkpoints", "runs/.cache"):
        log(f"{place}/x/trainer_state.json", HEALTHY)
    log("runs/a/trainer_state.json", HEALTHY)
    (project / "runs" / "latest").symlink_to(project / "runs" / "a")
    (project / "runs" / "loop").symlink_to(project)
    found, cut = discover(project)
    assert [run.label(project) for run in found] == ["runs/a"] and not cut


def test_the_search_is_bounded(log, project, monkeypatch):
    for seed in range(6):
        log(f"runs/{seed}/trainer_state.json", HEALTHY)
    monkeypatch.setattr("cognate.observe.logs.discover.MOST_RUNS", 3)
    found, cut = discover(project)
    assert len(found) == 3 and cut
