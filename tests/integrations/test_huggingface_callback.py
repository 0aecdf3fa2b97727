import pytest
from adapter_toys import Regression, only_case, samples, snippet
from transformers import Trainer, TrainingArguments

from cognate.integrations.huggingface import CognateCallback


def data():
    return [{"x": x, "labels": y} for x, y in zip(*samples(), strict=True)]


def arguments(place, **more):
    fixed = {"max_steps": 24, "logging_steps": 1, "per_device_train_batch_size": 8, "learning_rate": 0.05, "save_strategy": "no"}
    return TrainingArguments(str(place / "out"), use_cpu=True, disable_tqdm=True, report_to="none", **{**fixed, **more})


def train(place, *callbacks, poisoned=None, **more):
    given = {"eval_dataset": data()[:16]} if "eval_strategy" in more else {}
    model = Regression(poisoned)
    trainer = Trainer(model, arguments(place, **more), train_dataset=data(), callbacks=list(callbacks), **given)
    trainer.train()
    return trainer


def losses(trainer):
    return [row["loss"] for row in trainer.state.log_history if "loss" in row]


def test_the_case_holds_what_the_trainer_logged_and_the_training_is_the_same(place):
    watched = train(place, CognateCallback(), eval_strategy="steps", eval_steps=8)
    alone = train(place, eval_strategy="steps", eval_steps=8)
    assert losses(watched) == losses(alone)
    case = only_case(place)
    assert case.info["origin"] == "huggingface callback" and case.info["integrity"]["finished"]
    assert case.info["log"]["max_steps"] == 24 and not case.info["log"]["stopped_early"]
    assert case.metrics.take("loss")[1] == losses(alone)
    assert len(case.metrics.take("val_loss")[1]) == 3 and len(case.metrics.take("lr")[1]) == 24
    assert set(case.info["columns"]) == {"loss", "grad_norm", "learning_rate", "eval_loss"}


@pytest.mark.parametrize("hidden", [True, False], ids=["by the Trainer shown as 0", "shown"])
def test_a_run_of_nan_is_stopped_if_asked(place, said, hidden):
    trainer = train(place, CognateCallback(stop_on="error"), poisoned=5, max_steps=60, logging_nan_inf_filter=hidden)
    assert 8 <= trainer.state.global_step <= 12
    assert any("asks to stop" in line for line in said())
    assert only_case(place).info["log"]["stopped_early"]


def test_a_run_of_nan_is_not_stopped_unasked(place, said):
    trainer = train(place, CognateCallback(), poisoned=5, logging_nan_inf_filter=False)
    assert trainer.state.global_step == 24
    assert [line for line in said() if "loss-nonfinite" in line] == said()[:1]


def test_the_snippet_of_the_docs(place):
    snippet(0, {"Trainer": Trainer, "model": Regression(), "args": arguments(place), "dataset": data()})
    assert only_case(place).info["integrity"]["finished"]
