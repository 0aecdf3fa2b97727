"""Loops of one's own: `cognate.watch`, and Accelerate's tracker."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from adapter_toys import Regression, only_case, samples, snippet

import cognate
from cognate.errors import UsageError


def parts(poisoned=None, rounds=4):
    model = Regression(poisoned)
    batches = list(zip(*(side.split(8) for side in samples()), strict=True)) * rounds
    losses = []

    def loss_of(model, batch):
        loss = model(*batch)["loss"]
        losses.append(loss.item())
        return loss

    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    return {"torch": torch, "model": model, "optimizer": optimizer, "loader": batches, "loss_of": loss_of}, losses


def loop(names, run=None):
    for batch in names["loader"]:
        names["optimizer"].zero_grad()
        loss = names["loss_of"](names["model"], batch)
        loss.backward()
        names["optimizer"].step()
        if run is not None:
            run.log(loss=loss)


def test_watch_records_the_loop_and_leaves_it_as_it_is(place):
    alone, plain = parts()
    loop(alone)
    names, losses = parts()
    run = cognate.watch(names["model"], names["optimizer"])
    loop(names, run)
    run.close()
    assert losses == plain
    case = only_case(place)
    assert case.metrics.take("loss")[1] == losses and case.metrics.take("lr")[1] == [0.05] * 32
    assert case.steps == 32 and case.info["integrity"]["finished"] and case.info["log"]["parameters"] == 5
    assert cognate.diagnose(case.folder).status in ("inconclusive", "healthy")


@pytest.mark.parametrize("number", [2, 3], ids=["accelerate", "watch"])
def test_the_snippets_of_the_docs_stop_a_run_of_nan(place, said, number):
    names, losses = parts(poisoned=5)
    names = snippet(number, {**names, "Accelerator": lambda **given: Accelerator(cpu=True, **given)})
    assert 8 <= len(losses) <= 12
    assert any("asks to stop" in line for line in said())
    assert only_case(place).info["integrity"]["finished"]


def test_the_tracker_keeps_names_roles_and_settings(place):
    names, _ = parts()
    snippet(2, {**names, "Accelerator": lambda **given: Accelerator(cpu=True, **given)})
    case = only_case(place)
    assert case.info["origin"] == "accelerate tracker" and case.info["log"]["hparams"] == {"lr": 0.1}
    assert len(case.metrics.take("loss")[1]) == 32


def test_one_bad_step_stops_nothing(place):
    run = cognate.watch(Regression(), every=1, stop_on="error")
    for step in range(20):
        run.log(loss=float("nan") if step == 7 else 1.0 / (1 + step))
    run.close()
    assert not run.should_stop


def test_a_folder_that_cannot_be_written_is_one_warning(place, said):
    (place / "runs").write_text("a file is in the way")
    names, losses = parts()
    with cognate.watch(names["model"], names["optimizer"], stop_on="error") as run:
        loop(names, run)
    assert len(losses) == 32 and len(said()) == 1 and "not recorded" in said()[0]


def test_rules_that_cannot_be_loaded_are_one_warning_and_the_case_stays_whole(place, said):
    (place / "cognate.toml").write_text('select = ["LOSSES"]')
    names, losses = parts()
    with cognate.watch(names["model"], names["optimizer"]) as run:
        loop(names, run)
    assert len(said()) == 1 and "LOSSES" in said()[0]
    assert only_case(place).metrics.take("loss")[1] == losses


@pytest.mark.parametrize("options", [{"stop_on": "errors"}, {"every": 0}])
def test_a_wrong_option_is_said_where_it_is_given(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        cognate.watch(Regression(), **options)


def test_other_ranks_do_nothing(place, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    names, _ = parts(rounds=1)
    with cognate.watch(names["model"], names["optimizer"]) as run:
        loop(names, run)
    assert not (place / "runs").exists()


def test_under_cognate_run_nothing_is_written_or_said_but_the_stop_holds(place, said, monkeypatch):
    monkeypatch.setenv("COGNATE_CASE", "runs/observed")
    names, losses = parts(poisoned=5)
    snippet(3, names)
    assert 8 <= len(losses) <= 12 and not (place / "runs").exists()
    assert ["asks to stop" in line for line in said()] == [True]


def test_findings_are_written_where_the_run_is_logged(place, monkeypatch):
    told = []
    levels = SimpleNamespace(ERROR="error", WARN="warn")
    run = SimpleNamespace(tags=("mine",))
    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(AlertLevel=levels, alert=lambda **given: told.append(given)))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=run))
    tags = {}
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(active_run=lambda: object(), set_tag=tags.__setitem__))
    snippet(3, parts(poisoned=5)[0])
    assert told[0]["level"] == "error" and told[0]["title"] == "cognate: loss-nonfinite"
    assert run.tags[0] == "mine" and "cognate:loss-nonfinite" in run.tags
    assert tags["cognate.loss-nonfinite"].startswith("error: the ")


def test_a_tracker_that_fails_or_has_no_run_is_passed_over(place, monkeypatch, said):
    def alert(**given):
        raise RuntimeError("call trackio.init() first")

    levels = SimpleNamespace(ERROR="error", WARN="warn")
    monkeypatch.setitem(sys.modules, "trackio", SimpleNamespace(AlertLevel=levels, alert=alert))
    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(run=None))
    snippet(3, parts(poisoned=5)[0])
    assert any("loss-nonfinite" in line for line in said()) and not any("RuntimeError" in line for line in said())


CRASHING = """
import cognate, torch
model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
run = cognate.watch(model, optimizer, folder="case")
for step in range(8):
    loss = model(torch.ones(4, 2)).square().mean() * (float("nan") if step > 3 else 1)
    loss.backward()
    optimizer.step()
    run.log(loss=loss)
raise ValueError("after all")
"""


def test_a_script_that_crashes_leaves_its_last_words_and_its_verdict(place):
    (place / "train.py").write_text(textwrap.dedent(CRASHING))
    environment = {**os.environ, "PYTHONPATH": str(Path(cognate.__file__).parents[1])}
    done = subprocess.run([sys.executable, "train.py"], cwd=place, env=environment, capture_output=True, encoding="utf-8")
    assert done.returncode == 1 and "ValueError: after all" in done.stderr and "loss-nonfinite" in done.stderr
    info = json.loads((place / "case" / "case.json").read_text())
    assert info["exception"]["message"] == "after all" and info["title"] == "train" and not info["integrity"]["finished"]
