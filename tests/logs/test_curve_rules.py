"""The rules over curves, each on the fault, its look-alikes, and its repaired twin."""

import math

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, bundled_folder, load_skill
from cognate.rules import Severity
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules([load_skill(bundled_folder() / "ml-training-debugger")])}
NAMES = [
    "loss-nonfinite",
    "loss-diverging",
    "loss-not-decreasing",
    "loss-nan-hidden-by-logger",
    "eval-validation-constant",
    "eval-overfit",
    "opt-lr-zero-or-dead-tail",
]


def judge(name, **parts):
    return run_rule(RULES[name], Case.of(**parts))


def wiggle(index, width=0.05):
    return width * math.sin(37.0 * index)


def steps(values, key="loss", every=1, **other):
    return [{"step": (n + 1) * every, key: value, **other} for n, value in enumerate(values)]


def lines(*texts, every=20):
    return [{"kind": "print", "text": text, "step": (n + 1) * every} for n, text in enumerate(texts)]


@pytest.mark.parametrize("name", NAMES)
def test_examples_fire_and_stay_quiet(name):
    assert run_rule(RULES[name], RULES[name].fires.case).status == "fired"
    assert run_rule(RULES[name], RULES[name].quiet.case).status == "clear"


@pytest.mark.parametrize("name", NAMES)
def test_a_case_without_curves_crashes_no_rule(name):
    assert judge(name).status in ("skipped", "clear")
    assert judge(name, metrics=[{"step": 1}, {"loss": None}, {}]).status in ("skipped", "clear")


def test_nan_that_stays_is_an_error_and_a_single_one_a_warning():
    nan = {"loss": None, "nonfinite": {"loss": "nan"}}
    stays = judge("loss-nonfinite", metrics=[*steps([2.0, 1.9]), {"step": 3, **nan}, {"step": 4, **nan}])
    assert stays.findings[0].title == "the train loss is NaN from step 3 on: every one of the last 2 values"
    assert stays.findings[0].onset_step == 3 and stays.findings[0].severity is None
    once = judge("loss-nonfinite", metrics=[*steps([2.0, 1.9]), {"step": 3, **nan}, {"step": 4, "loss": 1.8}])
    assert once.findings[0].severity is Severity.WARNING


def test_printed_nan_is_seen_in_a_log_without_recorder():
    assert judge("loss-nonfinite", events=lines("epoch 1 loss 0.5", "epoch 2 loss nan")).status == "fired"


def test_divergence_is_not_warmup_spike_gan_or_reinforcement():
    rising = [2.3 * 1.06**n for n in range(100)]
    assert judge("loss-diverging", metrics=steps(rising)).status == "fired"
    spike = [30.0 if 20 < n < 30 else 3.0 / (1 + n / 20) for n in range(200)]
    assert judge("loss-diverging", metrics=steps(spike)).status == "clear"
    gan = [{"step": n, "loss": 0.5 + n / 20, "optimizer": "d" if n % 2 else "g"} for n in range(100)]
    assert judge("loss-diverging", metrics=gan).status == "clear"
    rewarded = [{**row, "user": {"episode_reward": 1.0}} for row in steps(rising)]
    assert judge("loss-diverging", metrics=rewarded).status == "clear"


def test_printed_epoch_losses_diverge_as_well():
    values = (1.07, 6.04, 806.2, 58848.4, 900.1, 866.0, 1008.3, 950.0)
    events = lines(*(f"epoch {n} | loss {value}" for n, value in enumerate(values)))
    assert judge("loss-diverging", events=events).status == "fired"


def test_a_flat_loss_fires_and_a_trained_short_or_quickly_fallen_one_does_not():
    flat = [2.3 + wiggle(n) for n in range(200)]
    assert judge("loss-not-decreasing", metrics=steps(flat)).status == "fired"
    assert judge("loss-not-decreasing", metrics=steps(flat[:20])).status == "skipped"
    assert judge("loss-not-decreasing", metrics=steps([0.03 + wiggle(n, 0.005) for n in range(200)])).status == "clear"
    fallen = [2.3, 1.9, 1.2, *(0.8 + wiggle(n) for n in range(200))]
    assert judge("loss-not-decreasing", metrics=steps(fallen)).status == "clear"


HIDDEN = [
    *steps([2.0, 1.5], every=10, grad_norm=1.0),
    *({"step": n, "loss": 0.0, "grad_norm": None, "nonfinite": {"grad_norm": "nan"}} for n in (30, 40, 50)),
]


def test_zero_beside_nan_is_a_hidden_nan_and_a_true_zero_is_not():
    outcome = judge("loss-nan-hidden-by-logger", info={"origin": "huggingface trainer_state"}, metrics=HIDDEN)
    assert outcome.findings[0].onset_step == 30
    true_zero = steps([2.0, 0.5, 0.0, 0.0, 0.0], grad_norm=0.0)
    assert judge("loss-nan-hidden-by-logger", metrics=true_zero).status == "clear"


def test_an_old_log_without_gradient_norms_tells_by_its_evaluation():
    rows = [*steps([2.0, 0.0, 0.0], every=10), {"step": 30, "val_loss": None, "nonfinite": {"val_loss": "nan"}}]
    assert judge("loss-nan-hidden-by-logger", metrics=rows).status == "fired"
    assert judge("loss-nan-hidden-by-logger", metrics=[*rows[:3], {"step": 30, "val_loss": 0.1}]).status == "clear"


def test_finite_prints_over_recorded_nan_are_seen():
    rows = [*steps([2.0] * 5), *({"step": n, "loss": None, "nonfinite": {"loss": "nan"}} for n in range(6, 60))]
    events = lines("loss 2.0", "loss 0.0", "loss 0.0")
    outcome = judge("loss-nan-hidden-by-logger", info={"origin": "live"}, metrics=rows, events=events)
    assert outcome.findings[0].onset_step == 6
    honest = lines("loss 2.0", "loss nan", "loss nan")
    assert judge("loss-nan-hidden-by-logger", info={"origin": "live"}, metrics=rows, events=honest).status == "clear"


PLACEHOLDER = """
class Trainer:
    def validate(self):
        data = self.datasets.get("val")
        if data is None:
            return 2.5
        return measure(data)

datasets = {"train": 1, "validation": 2}
"""


def epochs(values, train=(1.47, 1.1, 0.9, 0.7, 0.5)):
    return lines(*(f"epoch {n} train loss {t:.4f} val loss {v}" for n, (t, v) in enumerate(zip(train, values, strict=False), 1)))


def test_a_placeholder_is_named_with_its_line_its_guard_and_the_key():
    outcome = judge("eval-validation-constant", events=epochs(["2.5000"] * 5), source={"train.py": PLACEHOLDER})
    (finding,) = outcome.findings
    assert (finding.location.file, finding.location.line, finding.location.symbol) == (
        "train.py",
        6,
        "Trainer.validate",
    )
    assert finding.title.startswith("Trainer.validate() returns the hard-coded 2.5 when `data is None`")
    assert "'validation'" in finding.fix.steps[0] and "'val'" in finding.fix.steps[0]


@pytest.mark.parametrize(
    "source",
    [
        "def evaluate(m, d):\n    return total / n if n else 2.5\n",
        "val_loss = 2.5\n",
        "history = {'val_loss': 2.5}\n",
        "x = results.get('val_loss', 2.5)\n",
        "def validate(m):\n    return 2.5, 0.1\n",
        "def validate(m):\n    return float(2.5)\n",
    ],
)
def test_a_placeholder_is_found_wherever_it_is_written(source):
    outcome = judge("eval-validation-constant", events=epochs(["2.50"] * 5), source={"train.py": source})
    assert outcome.findings[0].location.file == "train.py"


def test_without_source_it_takes_many_digits_and_a_training_loss_that_moves():
    assert judge("eval-validation-constant", events=epochs(["2.5137"] * 5)).status == "fired"
    assert judge("eval-validation-constant", events=epochs(["2.5"] * 5)).status == "clear"
    assert judge("eval-validation-constant", events=epochs(["2.5137"] * 5, [1.4] * 5)).status == "clear"
    assert judge("eval-validation-constant", events=epochs(["2.5137"] * 2)).status == "skipped"
    assert judge("eval-validation-constant", events=epochs(["2.5137"] * 4 + ["2.5138"])).status == "clear"


def test_chance_saturation_and_nan_are_no_placeholders():
    guessing = epochs(["0.6931"] * 5, (0.91, 0.80, 0.71, 0.6935, 0.6932))
    assert judge("eval-validation-constant", events=guessing).status == "clear"
    assert judge("eval-validation-constant", events=epochs(["0.0000"] * 5)).status == "clear"
    assert judge("eval-validation-constant", events=epochs(["nan"] * 5)).status == "skipped"
    stuck = lines(*(f"epoch {n} loss {2.0 / n:.3f} val acc 0.1000" for n in range(1, 8)))
    assert judge("eval-validation-constant", events=stuck).status == "clear"
    perfect = lines(*(f"epoch {n} loss {2.0 / n:.3f} val acc 1.0000" for n in range(1, 8)))
    assert judge("eval-validation-constant", events=perfect).status == "clear"


def test_a_foreign_log_with_a_constant_evaluation_fires():
    rows = [row for n in range(1, 9) for row in ({"step": n * 100, "loss": 2.0 / n}, {"step": n * 100, "val_loss": 3.25})]
    assert judge("eval-validation-constant", info={"origin": "huggingface trainer_state"}, metrics=rows).status == "fired"


def both(train, val):
    return [
        row
        for n, (t, v) in enumerate(zip(train, val, strict=True), 1)
        for row in ({"step": n * 100, "loss": t}, {"step": n * 100, "val_loss": v})
    ]


FALLING = [2.0 / n for n in range(1, 13)]
VALLEY = [1.0 + 0.1 * abs(n - 4) for n in range(1, 13)]


def test_overfitting_needs_both_curves_and_a_clear_rise():
    outcome = judge("eval-overfit", metrics=both(FALLING, VALLEY))
    assert outcome.findings[0].onset_step == 400 and "+" in outcome.findings[0].title
    assert judge("eval-overfit", metrics=both([2.0] * 12, VALLEY)).status == "clear"
    assert judge("eval-overfit", metrics=both(FALLING, [1.0 + wiggle(n, 0.08) for n in range(12)])).status == "clear"
    assert judge("eval-overfit", metrics=both(FALLING, [*FALLING[:11], 1.5])).status == "clear"


def test_overfitting_is_quiet_where_early_stopping_ended_it():
    facts = {"log": {"stopped_early": True}}
    assert judge("eval-overfit", info=facts, metrics=both(FALLING, VALLEY)).status == "clear"
    said = lines("early stopping at epoch 12")
    assert judge("eval-overfit", events=said, metrics=both(FALLING, VALLEY)).status == "clear"


def test_learning_rates_of_nothing_and_healthy_schedules():
    name = "opt-lr-zero-or-dead-tail"
    zero = judge(name, metrics=steps([0.0] * 50, "lr"))
    assert zero.findings[0].severity is Severity.ERROR and "all 50" in zero.findings[0].title
    head = judge(name, metrics=steps([0.0] * 40 + [0.1] * 100, "lr"))
    assert "until step 41" in head.findings[0].title
    tail = judge(name, metrics=steps([0.1] * 100 + [0.0] * 40, "lr"))
    assert tail.findings[0].onset_step == 101
    cosine = [0.05 * (1 + math.cos(math.pi * n / 400)) for n in range(401)]
    decades = [0.1 * 0.1 ** (n // 30) for n in range(120)]
    warm = [min(n / 10, 1.0) * 0.1 for n in range(100)]
    for schedule in (cosine, decades, warm):
        assert judge(name, metrics=steps(schedule, "lr")).status == "clear"


def test_a_zero_rate_beside_weights_that_move_is_not_the_rate_that_was_used():
    rows = steps([0.0] * 50, "lr", update_ratio=1e-3)
    assert judge("opt-lr-zero-or-dead-tail", metrics=rows).status == "clear"


def test_a_log_that_counts_batches_and_epochs_is_compared_by_position():
    texts = []
    for epoch in range(1, 13):
        texts += [f"epoch {epoch} batch {batch} loss {2.0 / epoch:.3f}" for batch in (100, 200)]
        texts.append(f"epoch {epoch} val loss {VALLEY[epoch - 1]:.4f}")
    events = [{"kind": "print", "text": text, "step": 0} for text in texts]
    (finding,) = judge("eval-overfit", events=events).findings
    assert "overfits from epoch 4 on" in finding.title and finding.onset_step is None
    assert "falls from 0.5 to" in finding.title
