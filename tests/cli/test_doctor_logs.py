"""`cognate doctor` on the logs of other tools: what the columns were taken for, what was not whole, roles given by hand."""

import json

import pytest

LOG = "epoch,objective,holdout,mystery\n" + "".join(f"{n},{2 / (n + 1)},{3 / (n + 1)},{n}\n" for n in range(9)) + "junk\n"


@pytest.fixture
def log(project):
    (project / "log.csv").write_text(LOG)
    return project / "log.csv"


def facts(done):
    return json.loads(done.stdout)["subject"]["facts"]


def test_the_report_says_what_columns_were_taken_for_and_what_was_not_whole(cli, log):
    done = cli("doctor", "log.csv")
    assert done.returncode == 0
    assert "logged up to epoch 8; run log.csv" in done.stdout
    assert "read as table of text: epoch = epoch, loss = objective, 2 columns under their own names" in done.stdout
    assert "not whole: lines left out that hold no number: 1 (line 11)" in done.stdout


def test_roles_given_on_the_command_line_and_in_the_settings(cli, log, project):
    with (project / "cognate.toml").open("a") as settings:
        settings.write('[columns]\nval_loss = "holdout"\nlr = "not in this log"\n')
    columns = facts(cli("doctor", "log.csv", "--format", "json"))["columns"]
    assert columns == {"epoch": "epoch", "objective": "loss", "holdout": "val_loss", "mystery": "user.mystery"}
    by_hand = ("--columns", "loss=mystery", "--columns", "val_loss=objective")
    columns = facts(cli("doctor", "log.csv", "--format", "json", *by_hand))["columns"]
    assert columns == {"epoch": "epoch", "objective": "val_loss", "holdout": "user.holdout", "mystery": "loss"}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("loss=objektive", "did you mean 'objective'?"),
        ("loss=x", "its columns are epoch, objective, holdout, mystery"),
        ("los=objective", "is not ROLE=NAME"),
        ("objective", "is not ROLE=NAME"),
        ("loss=", "is not ROLE=NAME"),
    ],
)
def test_a_role_that_cannot_be_is_one_sentence(cli, log, given, says):
    done = cli("doctor", "log.csv", "--columns", given)
    assert done.returncode == 2 and done.stdout == ""
    assert says in done.stderr and len(done.stderr.splitlines()) == 1


def test_a_log_without_a_loss_says_how_to_name_one(cli, project):
    (project / "log.csv").write_text("step,D_loss,G_loss\n1,0.5,0.4\n2,0.4,0.6\n")
    assert "none is the loss: if one is, say --columns loss=NAME" in cli("doctor", "log.csv").stdout


def test_a_role_in_the_settings_that_is_none_is_one_sentence(cli, log, project):
    with (project / "cognate.toml").open("a") as settings:
        settings.write('[columns]\nlos = "objective"\n')
    done = cli("doctor", "log.csv")
    assert done.returncode == 2 and "roles are step, epoch, t, loss, val_loss, lr, grad_norm" in done.stderr


def test_small_logs_need_no_polars(cli, log, project):
    (project / "sitecustomize.py").write_text(
        "import atexit, sys\natexit.register(lambda: print('polars' in sys.modules, file=sys.stderr))\n"
    )
    assert cli("doctor", "log.csv", PYTHONPATH=str(project)).stderr.splitlines()[-1] == "False"
