"""What transformers says when it loads, and a model that is built from a configuration beside its weights."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
LOADS = "model = AutoModelForSequenceClassification.from_pretrained(folder)\n"


def judged(lines: list[str] = [], source: str = LOADS):  # noqa: B006
    case = Case.of(
        info={"origin": "live"},
        model={"roots": [{"cls": "TinyForSequenceClassification", "parameters": [{"name": f"p{i}"} for i in range(20)]}]},
        events=[{"kind": "print", "stream": "stderr", "text": text, "n": n, "step": 0} for n, text in enumerate(lines)],
        source={"train.py": source},
    )
    return run_rule(RULES["repro-pretrained-not-loaded"], case)


def report(*names: str) -> list[str]:
    head = "[transformers] \x1b[1mTinyForSequenceClassification LOAD REPORT\x1b[0m from: /tmp/x"
    return [head, "Key | Status |", *(f"{name} | MISSING | " for name in names), "Notes:", "- MISSING : newly initialized"]


def test_a_new_head_is_missing_and_healthy():
    assert judged(report("classifier.weight", "classifier.bias", "pooler.dense.weight", "pooler.dense.bias")).status != "fired"


@pytest.mark.parametrize(
    "lines",
    [
        report("body.layer.{0...11}.weight", "body.embeddings.weight", "classifier.weight"),
        report(*(f"body.layer.{i}.weight" for i in range(12))),
        ["Some weights of TinyForSequenceClassification were not initialized from the model checkpoint at x and are newly "
         f"initialized: {[f'body.layer.{i}.weight' for i in range(14)]}"],
    ],
    ids=["shortened", "one a row", "as it used to say"],
)  # fmt: skip
def test_most_of_the_model_is_missing(lines):
    outcome = judged(lines)
    assert outcome.status == "fired" and outcome.findings[0].location.line == 1


BUILDS = """
first.save_pretrained(folder)
config = AutoConfig.from_pretrained(folder)
model = AutoModelForSequenceClassification.from_config(config)
"""


def test_a_model_that_is_built_beside_its_saved_weights():
    outcome = judged(source=BUILDS)
    assert outcome.status == "fired" and outcome.findings[0].location.line == 4


@pytest.mark.parametrize(
    "source",
    [
        BUILDS.replace("from_config(config)", "from_pretrained(folder, config=config)"),
        BUILDS.replace("first.save", "tokenizer.save"),
        "config = AutoConfig.from_pretrained(name)\nmodel = AutoModel.from_config(config)\nmodel.save_pretrained(folder)\n",
    ],
    ids=["loaded", "only a tokenizer was saved", "from scratch on purpose"],
)
def test_models_that_are_built_as_they_should(source):
    assert judged(source=source).status != "fired"
