"""The report's section on a training run: marks are earned by measured values, and nothing that a file says can break it."""

from __future__ import annotations

import copy
import json
import math
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cognate.case.case import Case
from cognate.case.store import Appender, write_json
from cognate.diagnosis import diagnose
from cognate.diagnosis.training.run import RULES
from cognate.discovery import all_rules, load_skills
from cognate.render.markdown import render

STEPS, WARMUP, PEAK = 12, 3, 3e-3
NAMES = ["validation", "accumulation", "rates", "balance", "halting", "stopping", "schedule", "clipping"]


def rate(step: int) -> float:
    if step <= WARMUP:
        return PEAK * step / WARMUP
    return PEAK * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP))))


def objective(step: int) -> float:
    return 6.2 - 0.2 * step


TRAINING: dict[str, Any] = {
    "schema": "cognate.training/1",
    "preset": "tiny",
    "specialisation": None,
    "parameters": {
        "total": 1000,
        "parts": {"embeddings": 523, "backbone": 416, "recursion": 61},
        "shares": {"embeddings": 0.523, "backbone": 0.416, "recursion": 0.061},
    },
    "data": {
        "source": "problems.jsonl",
        "bad_rows_count": 7,
        "bad_rows": [{"where": "problems.jsonl:3", "reason": "no answer"}],
        "split_by": {"method": "by a hash of the content", "overlap_removed": 0, "overlap": []},
        "train": {"rows": 90, "left_out_count": 2},
        "validation": {"rows": 10, "left_out_count": 0},
    },
    "options": {
        "steps": STEPS, "micro_batch": 8, "effective_batch": 16, "learning_rate": PEAK, "min_lr_ratio": 0.1, "warmup_steps": None,
        "clip_norm": 1.0, "optimizer": "adamw", "muon_learning_rate": None, "patience": 2, "minimum_delta": 0.0,
    },
    "ended": "finished",
    "steps": STEPS,
    "tokens": 12345,
    "seconds": 24.5,
    "loss": {"expected_first": 6.238, "first": 6.25, "last": 3.8},
    "validation": {"evaluations": 3, "losses": [[4, 5.4], [8, 4.6], [12, 3.9]], "best": 3.9, "best_step": 12},
    "gradient": {"logged": 4, "median_norm": 1.5, "largest_norm": 3.0, "clip_norm": 1.0, "clipped": 3},
    "halting": {"answers": 4, "mean": 2.0, "variance": 0.5, "histogram": [0.25, 0.5, 0.25, 0.0], "information": 0.02},
    "inference": {"tokens_shape": [1, 34], "logits_shape": [1, 34, 512], "flops_saved": 0.4},
    "independence": {"future_influence": 0.0, "neighbour_influence": 0.0, "own_influence": 1.25},
    "exact_match": {
        "problems": 20, "right": 19, "exact_match": 0.95, "correlation": 0.3,
        "by_difficulty": {"1": {"exact_match": 1.0, "answers_used": 1.5}, "2": {"exact_match": 0.9, "answers_used": 2.5}},
    },
}  # fmt: skip

METRICS = [
    {"step": i, "lr": rate(i + 1), "loss": objective(i + 1) / 2, "backwards": 2, "update_ratio": 2e-3, "grad_norm": 1.5,
     "clip": 1.0, "grad_norm_clipped": 0.99, "optimizer": "optimizer#0"}
    for i in range(STEPS)
]  # fmt: skip
LOG = [{"step": step, "loss": objective(step) - 0.1, "objective": objective(step)} for step in (1, 6, 12)]
MODEL: dict[str, Any] = {
    "roots": [
        {
            "cls": "Net",
            "parameters": [
                {"name": "weight", "shape": [30, 30], "numel": 900, "storage": 1, "optimizer": "optimizer#0", "group": 0},
                {"name": "tied", "shape": [30, 30], "numel": 900, "storage": 1, "optimizer": "optimizer#0", "group": 0},
                {"name": "bias", "shape": [100], "numel": 100, "storage": 2, "optimizer": "optimizer#0", "group": 1},
            ],
        }
    ],
    "optimizers": [{"label": "optimizer#0", "groups": [{"weight_decay": 0.1}, {"weight_decay": 0.0}]}],
}
INFO = {"kind": "run", "title": "-m cognate.train", "started": "2026-01-02T03:04:05Z", "integrity": {"steps_seen": STEPS}}


@cache
def skills():
    # Only the rules that a fix listens to: the others have nothing to say here.
    named = {name for names in RULES.values() for name in names}
    return tuple(
        type(skill)(skill.name, skill.description, skill.version, skill.path, skill.origin,
                    tuple(rule for rule in skill.rules if rule.name in named))
        for skill in load_skills()
    )  # fmt: skip


def changed(values: Any, *changes: tuple[str, Any]) -> Any:
    values = copy.deepcopy(values)
    for path, value in changes:
        *parents, last = path.split(".")
        inner = values
        for key in parents:
            inner = inner[key]
        inner[last] = value
    return values


def judged(*changes: tuple[str, Any], metrics: Any = METRICS, log: Any = LOG, model: Any = MODEL) -> Any:
    case = Case.of(info=INFO, metrics=metrics, model=model, training=changed(TRAINING, *changes), training_log=log)
    return diagnose(case, skills())


def feature(name: str, *changes: tuple[str, Any], **parts: Any) -> Any:
    return judged(*changes, **parts).training.features[NAMES.index(name)]


def folder(at: Path, training: Any = TRAINING) -> Path:
    at.mkdir(parents=True)
    write_json(at / "case.json", INFO)
    write_json(at / "model.json", MODEL)
    for name, rows in (("metrics", METRICS), ("training", LOG)):
        appender = Appender(at / f"{name}.jsonl")
        appender.write(*rows)
        appender.close()
    if isinstance(training, str):
        (at / "training.json").write_text(training)
    else:
        write_json(at / "training.json", training)
    return at


def section(text: str) -> str:
    return text[text.index("## Training\n") : text.index("---\n\n## Recommended path")]


GOLDEN = """\
## Training

The six fixes of the reference model's trainer. ✓: measured in this run. ✗: contradicted by it. –: not measured, or switched off.

| Fix | Feature | Mark | Evidence in this run |
|---|---|---|---|
| 1 | Real validation loss on a held-out split without overlap | ✓ | evaluations: 3, rows held out: 10; loss 5.4 at step 4; \
3.9 at step 12, lowest 3.9, different values: 3; split by a hash of the content; no overlap between the sides |
| 2 | Token-weighted gradient accumulation to the effective batch | ✓ | effective batch of 16 rows, micro-batches of 8; \
backward calls in each of 12 observed steps: 2; by one process; their losses sum to the mean over the step's scored tokens in \
3 of 3 logged steps |
| 3 | Conservative learning rates, decay on matrices only | ✓ | adamw, peak set to 0.003; highest rate used 0.003; \
steps of a sound size: median update/weight ratio 0.002; weight decay on 2 of 3 tensors, none a vector |
| 4 | Parameter balance | ✓ | parameters: 1,000 (embeddings 52.3%, backbone 41.6%, recursion 6.1%); \
the recorder counted the same in the running model |
| 5 | ACT: halting differs between tokens and saves work | ✓ | answers used: 2 of 4 on average, variance over tokens 0.5, \
information 0.02 nats, share of tokens that stop at each: 25.0% / 50.0% / 25.0% / 0.0%; \
floating-point operations saved at inference: 40.0% |
| 6 | Early stopping | ✓ | patience 2, minimum improvement 0; not triggered, evaluations without improvement at the end: 0; \
ended: finished |
| 6 | Warm-up and cosine by optimizer step | ✓ | rates used: 0.001 at step 1, 0.003 at step 3, 0.0003 at step 12; \
as set: warm-up steps 3, then half a cosine to 10.0% at step 12 |
| 6 | Gradient clipping | ✓ | unclipped norm 1.5 (median), 3 at most; limit 1, clipped in 3 of 4 logged steps (75%); \
largest norm after clipping, as the recorder saw it: 0.99 |

### The figures

```
Model: 1,000 parameters, tiny: embeddings 52.3%, backbone 41.6%, recursion 6.1%
Data: problems.jsonl, rows to train on: 90, held out: 10, documents left out: 2
Training: 12 steps completed, scored tokens: 12,345, seconds: 24.5; finished
Loss: 6.25 at step 1 (ln of the vocabulary: 6.238, 0.012 apart), 3.8 at the last logged step
Gradient norm: 1.5 (median), 3 at most, over 4 logged steps, before clipping
ACT halting: 2 of 4 answers used, variance over tokens 0.5; tokens that stop at each: 25.0% / 50.0% / 25.0% / 0.0%
Inference: tokens (1, 34) -> logits (1, 34, 512); floating-point operations saved by early exit: 40.0%
Independence: later tokens change earlier outputs by 0, neighbours in the batch by 0 (a token its own by 1.25)
Exact match: 95.0%, 19 of 20 held-out problems by free generation; 1-step 100.0% (answers used: 1.5); \
2-step 90.0% (answers used: 2.5); correlation of steps and answers used 0.3
Bad rows: 7
```

The first rows that could not be used:

- problems.jsonl:3: no answer

"""


def test_golden_and_the_same_bytes_wherever_it_lies(tmp_path):
    first, second = folder(tmp_path / "one"), folder(tmp_path / "two")
    texts = [render(diagnose(Case.open(at), skills())) for at in (first, first, second)]
    assert section(texts[0]) == GOLDEN
    assert texts[0] == texts[1] == texts[2]


def test_the_rules_that_a_fix_listens_to_exist():
    assert {name for names in RULES.values() for name in names} <= {rule.name for rule in all_rules(load_skills())}


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("validation", [("validation.losses", [[4, 2.5], [8, 2.5], [12, 2.5]])], "the validation loss is 2.5 at each of 3"),
        ("validation", [("data.validation.rows", 0)], "no row was held out"),
        ("accumulation", [("options.effective_batch", 24)], "2 x 8 rows are not the effective batch of 24"),
        ("rates", [("options.learning_rate", 1e-4)], "the rate 0.003 was used, above the peak that was set"),
        ("balance", [("parameters", {"total": 4, "parts": {"a": 4}, "shares": {"a": 1.0}})], "the recorder counted 1,000"),
        ("halting", [("halting.variance", 0.0), ("halting.mean", 2.0)], "the variance is 0"),
        ("halting", [("halting.mean", 4.0), ("halting.histogram", [0, 0, 0, 1])], "every token uses the maximum"),
        ("halting", [("inference.flops_saved", 0.0)], "early exit saves no work"),
        ("stopping", [("ended", "early stopping")], "before patience was exhausted"),
        ("stopping", [("options.patience", 1), ("validation.losses", [[4, 3.0], [8, 3.5], [12, 2.0]])], "exhausted at step 8"),
        ("schedule", [("options.steps", 100)], "the rates are not those of 3 steps of warm-up and a cosine over 100"),
        ("clipping", [("gradient.clipped", 0)], "are not those above the limit"),
        ("clipping", [("gradient.clip_norm", 0.5)], "gradients above the limit reached the optimizer"),
    ],
)
def test_measured_values_contradict(name, changes, said):
    found = feature(name, *changes)
    assert (found.status, said in found.evidence) == ("contradicted", True), found


@pytest.mark.parametrize(
    ("name", "parts", "said"),
    [
        ("accumulation", {"metrics": [{**row, "loss": row["loss"] * 1.01} for row in METRICS]}, "3 of 3 logged steps"),
        ("rates", {"model": changed(MODEL, ("optimizers", [{"label": "optimizer#0", "groups": [{"weight_decay": 0.1}] * 2}]))},
         "vectors that decay: 1, bias among them"),
        ("rates", {"metrics": [{**row, "update_ratio": 0.6, "loss": 3.0 + row["step"]} for row in METRICS]}, "opt-lr-too-high: "),
        ("clipping", {"metrics": [{**row, "grad_norm_clipped": 1.5} for row in METRICS]}, "reached the optimizer"),
        ("schedule", {"metrics": [{**row, "lr": PEAK} for row in METRICS]}, "the rates are not those"),
    ],
)  # fmt: skip
def test_what_the_recorder_saw_contradicts(name, parts, said):
    found = feature(name, **parts)
    assert (found.status, said in found.evidence) == ("contradicted", True), found


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("validation", [("validation", {"evaluations": 0, "losses": [], "best": None})], "no evaluation was made"),
        ("validation", [("validation", {"evaluations": 1, "losses": [[12, 3.9]], "best": 3.9})], "one evaluation cannot show"),
        ("validation", [("validation.losses", [[4, 5.4], [8, None], [12, 3.9]])], "1 of 3 validation losses are not finite"),
        ("validation", [("validation.evaluations", -3)], "validation.evaluations is -3, which cannot be"),
        ("validation", [("data", {"source": "synthetic", "validation": {"rows": 3}})], "was not checked for this data"),
        ("accumulation", [("options.micro_batch", 16)], "switched off: one micro-batch is the whole effective batch"),
        ("accumulation", [("options.effective_batch", 32)], "2 x 8 rows leave 2 processes"),
        ("balance", [("parameters.shares", {"embeddings": 0.9, "backbone": 0.9, "recursion": 0.9})], "shares are not those"),
        ("balance", [("parameters.parts.recursion", -61)], "the parts do not sum to the total"),
        ("halting", [("halting", None)], "halting was not measured"),
        ("halting", [("halting.variance", None)], "halting.variance was not measured"),
        ("halting", [("halting.variance", -0.5)], "halting.variance is -0.5, which cannot be"),
        ("halting", [("halting.histogram", [0.5, 0.5, 0.5, 0.5])], "the histogram does not sum to one"),
        ("halting", [("halting.histogram", [0.5, 0.5])], "the histogram cannot be"),
        ("halting", [("halting.histogram", [1.0, 0.0, 0.0, 0.0])], "another mean or variance"),
        ("halting", [("inference.flops_saved", None)], "inference.flops_saved was not measured"),
        ("stopping", [("options.patience", 0)], "switched off: patience 0"),
        ("stopping", [("options.patience", 5)], "too few for it to act"),
        ("stopping", [("validation.losses", [])], "no evaluation was made that it could act on"),
        ("clipping", [("gradient.clip_norm", None)], "switched off"),
        ("clipping", [("gradient.clipped", 5)], "these numbers cannot all be"),
        ("clipping", [("gradient.median_norm", None)], "gradient.median_norm was not measured"),
        ("schedule", [("options.learning_rate", None)], "the curve that was set is not known"),
    ],
)
def test_what_was_not_measured_or_cannot_be_earns_nothing(name, changes, said):
    found = feature(name, *changes)
    assert (found.status, said in found.evidence) == ("open", True), found


@pytest.mark.parametrize("name", ["accumulation", "rates", "schedule"])
def test_what_was_only_configured_earns_nothing(name):
    assert feature(name, metrics=[], model={}).status == "open"


def test_overlap_that_was_found_is_stated():
    found = feature("validation", ("data.split_by.overlap_removed", 12), ("data.split_by.overlap", ["a.jsonl:4"]))
    assert found.status == "shown"
    assert (
        "overlap found: training documents that were held out too and were taken out: 12 (the first: a.jsonl:4)" in found.evidence
    )


def test_a_run_that_stopped_early():
    losses = [[4, 3.0], [8, 3.5], [12, 3.2]]
    found = feature("stopping", ("validation.losses", losses), ("ended", "early stopping"))
    assert found.status == "shown" and "triggered at step 12" in found.evidence


def test_a_resumed_run_is_compared_by_the_trainers_steps():
    rest = [{**row, "step": row["step"] - 6} for row in METRICS[6:]]
    set_to = ("options.warmup_steps", WARMUP)
    assert feature("schedule", set_to, metrics=rest).status == "shown"
    assert feature("accumulation", metrics=rest).status == "shown"
    assert "was not observed" in feature("schedule", metrics=rest).evidence


def test_each_of_two_optimizers_has_its_row_in_a_step():
    rows = [{**row, "step": 2 * i + n, "optimizer": f"optimizer#{n}"} for i, row in enumerate(METRICS) for n in (0, 1)]
    rows = [row if row["optimizer"] == "optimizer#0" else {k: v for k, v in row.items() if k != "loss"} for row in rows]
    assert feature("schedule", metrics=rows).status == "shown"
    assert feature("accumulation", metrics=rows).status == "shown"


def test_null_is_not_measured():
    values = changed(
        TRAINING,
        ("halting", None),
        ("exact_match", None),
        ("inference", None),
        ("independence", None),
        ("loss", {"expected_first": 6.2, "first": None, "last": None}),
    )
    text = section(render(diagnose(Case.of(info=INFO, training=values), skills())))
    for line in (
        "ACT halting: not measured",
        "Exact match: not measured",
        "Inference: not measured",
        "Independence: not measured",
    ):
        assert f"\n{line}\n" in text
    assert "Loss: not measured at step 1 (ln of the vocabulary: 6.2), not measured at the last logged step" in text


HOSTILE = "``` <script>alert(1)</script> ``\n# heading\n| cell | *x* [l](javascript:x) `code` <b>"


def test_hostile_text_is_no_markup(tmp_path):
    values = changed(
        TRAINING,
        ("data.bad_rows", [{"where": HOSTILE, "reason": HOSTILE}]),
        ("data.source", HOSTILE),
        ("data.split_by.method", HOSTILE),
        ("ended", HOSTILE),
        ("options.optimizer", HOSTILE),
        ("parameters.shares", {HOSTILE: 1.0}),
        ("preset", HOSTILE),
        ("exact_match.by_difficulty", {HOSTILE: {"exact_match": HOSTILE}}),
        ("inference.tokens_shape", [HOSTILE]),
    )
    text = section(render(diagnose(Case.open(folder(tmp_path / "one", values)), skills())))
    before, block, after = re.split(r"^```$", text, flags=re.M)
    assert "`" not in block
    for prose in (before, after):
        assert not re.search(r"(?<!\\)[<\[*]", prose) and "`" not in prose
    rows = [line for line in before.splitlines() if line.startswith("|")]
    assert len(rows) == 10 and all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)
    assert "\n# heading" not in text


@pytest.mark.parametrize(
    "content", ["", '{"schema": "cognate.training/1", "st', "[]", "null", '{"schema": "cognate.training/2"}']
)
def test_a_torn_or_foreign_file_is_as_none(tmp_path, content):
    with_it, without = folder(tmp_path / "a" / "run", content), folder(tmp_path / "b" / "run")
    (without / "training.json").unlink()
    assert render(diagnose(Case.open(with_it), skills())) == render(diagnose(Case.open(without), skills()))


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(10**400) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def paths(values: Any, before: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        found.append(f"{before}{key}")
        if isinstance(value, dict):
            found += paths(value, f"{before}{key}.")
    return found


@settings(max_examples=50, deadline=None)
@given(path=st.sampled_from([path for path in paths(TRAINING) if path != "schema"]), value=ODD, tensors=ODD, row=ODD)
def test_no_value_breaks_the_report(path, value, tensors, row):
    metrics = [{**METRICS[0], "backwards": row, "lr": row, "grad_norm_clipped": row, "optimizer": row}, *METRICS[1:]]
    model = {"roots": [{"parameters": tensors}, tensors], "optimizers": [{"label": tensors, "groups": tensors}]}
    case = Case.of(
        info=INFO,
        metrics=metrics,
        model=model,
        training=changed(TRAINING, (path, value)),
        training_log=[{"step": 1, "loss": row}],
    )
    diagnosis = diagnose(case, ())
    json.loads(diagnosis.to_json(), parse_constant=pytest.fail)
    assert "### The figures" in render(diagnosis)


def test_the_real_command_reports_on_such_a_run(tmp_path):
    run = folder(tmp_path / "runs" / "train-1")
    environment = {**os.environ, "PYTHONUTF8": "1"}
    command = [sys.executable, "-X", "importtime", "-m", "cognate", "report", str(run)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    assert section((tmp_path / "reports" / "train-1.md").read_text(encoding="utf-8")) == GOLDEN
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"torch", "cognate.train", "cognate.model"}
