import pytest
from hypothesis import given
from hypothesis import strategies as st

from cognate.case.case import Case
from cognate.case.curves import loss_curves, loss_series, lr_curves, validation_series
from cognate.case.lines import scan
from cognate.case.printed import printed_metrics


def printed(*lines, step=7):
    return printed_metrics(Case.of(events=[{"kind": "print", "text": line, "step": step} for line in lines]))


def roles(line):
    """Name: (role, value) of what has a role."""
    return {key: (one.role, one.values[0]) for key, one in printed(line).items() if one.role}


TRAIN, VAL, VAL_METRIC, TRAIN_METRIC = "train_loss", "val_loss", "val_metric", "train_metric"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "epoch 3 | train loss 0.12 | val loss 0.5 | val acc 0.9",
            {"train_loss": (TRAIN, 0.12), "val_loss": (VAL, 0.5), "val_acc": (VAL_METRIC, 0.9)},
        ),
        ("Epoch: 3/10 - loss: 0.1 - val_loss: 0.2", {"train_loss": (TRAIN, 0.1), "val_loss": (VAL, 0.2)}),
        (
            "[finetune] epoch 1 loss 1.9 val acc 0.3",
            {"finetune/train_loss": (TRAIN, 1.9), "finetune/val_acc": (VAL_METRIC, 0.3)},
        ),
        ("step 15 lr 0.1 loss 2.3", {"lr": ("lr", 0.1), "train_loss": (TRAIN, 2.3)}),
        ("iter 100: train loss 1.2, val loss 1.4", {"train_loss": (TRAIN, 1.2), "val_loss": (VAL, 1.4)}),
        ("== epoch 1 val loss 0.5 acc 0.91", {"val_loss": (VAL, 0.5), "val_acc": (VAL_METRIC, 0.91)}),
        ("{'loss': '0.79', 'learning_rate': 1e-5}", {"train_loss": (TRAIN, 0.79), "lr": ("lr", 1e-5)}),
        (
            "{'eval_loss': 0.4, 'eval_accuracy': 0.9, 'epoch': 1.0}",
            {"val_loss": (VAL, 0.4), "val_acc": (VAL_METRIC, 0.9)},
        ),
        ("{'loss': nan, 'grad_norm': inf}", {"train_loss": (TRAIN, None)}),
        ('{"step": 3, "loss": NaN, "val": {"loss": 0.4}}', {"train_loss": (TRAIN, None), "val_loss": (VAL, 0.4)}),
        ('{"val_acc": 0.9, "loss": 0.4}', {"train_loss": (TRAIN, 0.4), "val_acc": (VAL_METRIC, 0.9)}),
        (
            "2024-05-01 12:00:01,123 - INFO - epoch 2: train_loss=0.5 val_loss=0.6",
            {"train_loss": (TRAIN, 0.5), "val_loss": (VAL, 0.6)},
        ),
        ("INFO loss 0.5", {"train_loss": (TRAIN, 0.5)}),
        ("INFO:root:Epoch 1 loss 0.4", {"train_loss": (TRAIN, 0.4)}),
        ("[2024-01-01 10:00:00][INFO] step=10 loss=0.5", {"train_loss": (TRAIN, 0.5)}),
        (
            " 45%|████▌     | 45/100 [00:01<00:05,  3.2it/s, loss=0.31, acc=0.9]",
            {"train_loss": (TRAIN, 0.31), "train_acc": (TRAIN_METRIC, 0.9)},
        ),
        ("Train Loss: 0.31 (val 0.44)", {"train_loss": (TRAIN, 0.31), "val_loss": (VAL, 0.44)}),
        ("loss 10.92 -> 10.94", {"train_loss": (TRAIN, 10.94)}),
        ("loss=0.3 acc=91.2%", {"train_loss": (TRAIN, 0.3), "train_acc": (TRAIN_METRIC, 0.912)}),
        ("loss -inf", {"train_loss": (TRAIN, None)}),
        (
            "Test set: Average loss: 0.0523, Accuracy: 9843/10000 (98%)",
            {"test_loss": (VAL, 0.0523), "test_acc": (VAL_METRIC, 0.9843)},
        ),
        ("Train Epoch: 1 [0/60000 (0%)]\tLoss: 2.300000", {"train_loss": (TRAIN, 2.3)}),
        ("Epoch [1/10], Step [100/600], Loss: 0.2345", {"train_loss": (TRAIN, 0.2345)}),
        ("pretrain 3: loss 0.45", {"pretrain/train_loss": (TRAIN, 0.45)}),
        ("[val] epoch 1 loss 0.4", {"val_loss": (VAL, 0.4)}),
        ("Validation | loss: 0.4 | acc 0.8", {"val_loss": (VAL, 0.4), "val_acc": (VAL_METRIC, 0.8)}),
        ("held-out loss: 0.4", {"val_loss": (VAL, 0.4)}),
        ("dev F1 = 0.78", {"val_f1": (VAL_METRIC, 0.78)}),
        ("eval/loss: 0.43 eval/acc: 0.9", {"val_loss": (VAL, 0.43), "val_acc": (VAL_METRIC, 0.9)}),
        ("epoch 1 train 1.7 val 2.5000", {"train": (TRAIN, 1.7), "val": (VAL, 2.5)}),
        ("\x1b[32mloss\x1b[0m 0.5", {"train_loss": (TRAIN, 0.5)}),
        ("loss 0.9\rloss 0.5", {"train_loss": (TRAIN, 0.5)}),
    ],
)
def test_styles_of_ordinary_scripts(line, expected):
    assert roles(line) == expected


@pytest.mark.parametrize(
    "line",
    [
        "params 12345",
        "seed 3",
        "batch size 64",
        "train: 50000, val: 10000, test: 10000",
        "train size 50000 val size 10000",
        "loss_weight 0.5 label smoothing 0.1",
        "best val loss 0.3",
        "Epoch 3: val_loss improved from 0.5000 to 0.4000, saving model",
        "d_loss 0.3 g_loss 1.2",
        "trainable: 24 of 300",
        "done in 3.2s",
        "10.92 -> 10.94",
        "eval every 100",
        '  File "train.py", line 31, in <module>',
        "{'train_runtime': 12.5, 'train_loss': 0.44, 'epoch': 3.0}",
    ],
)
def test_settings_and_by_products_are_no_metrics(line):
    assert roles(line) == {}


def test_texts_places_and_lines_are_kept():
    found = printed("epoch 1 step 30 loss 0.50", "epoch 2 step 60 loss 0.25", step=60)["train_loss"]
    assert found.texts == ["0.50", "0.25"]
    assert (found.epochs, found.steps, found.observed) == ([1.0, 2.0], [30, 60], [60, 60])
    assert found.lines[0] == "epoch 1 step 30 loss 0.50"


def test_a_bare_val_that_is_a_rising_share_is_an_accuracy():
    found = printed("epoch 1 train 0.31 val 0.30", "epoch 2 train 0.82 val 0.78")
    assert (found["train"].role, found["val"].role) == (TRAIN_METRIC, VAL_METRIC)


@given(st.text(max_size=300))
def test_any_text_is_read_without_an_exception(text):
    scan(text)
    printed(text)


WORDS = [
    "loss",
    "val",
    "epoch",
    "{",
    "}",
    "[",
    "'",
    ":",
    "3/10",
    "nan",
    "1e999",
    "%",
    "|",
    "->",
    "_",
    "\t",
    "\r",
    "{'a':",
]


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_mixture_of_metric_words_is_read_without_an_exception(words):
    printed(" ".join(words), "".join(words))


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.integers(0, 999))
def test_what_is_printed_is_what_is_read(train, val, epoch):
    found = printed(f"Epoch {epoch} | train loss {train!r} | val loss {val!r}")
    assert found["train_loss"].values == [train]
    assert found["val_loss"].values == [val]
    assert found["val_loss"].epochs == [float(epoch)]


def test_events_that_hold_no_text_are_passed_over():
    assert printed_metrics(Case.of(events=[{"kind": "print"}, {"kind": "print", "text": None, "step": "x"}])) == {}


def test_recorded_losses_come_before_printed_ones():
    events = [{"kind": "print", "text": f"loss {9.0 - n}", "step": n} for n in range(3)]
    rows = [{"step": n, "loss": 1.0 / n} for n in range(1, 9)]
    assert loss_series(Case.of(events=events, metrics=rows)).source == "metrics.jsonl: loss"
    assert loss_series(Case.of(events=events)).source == "printed by the script"
    assert loss_series(Case.of()) is None and validation_series(Case.of()) is None


def test_a_gap_is_no_measurement_and_nan_is_one():
    rows = [
        {"step": 1, "loss": 2.0},
        {"step": 2, "loss": None},
        {"step": 3, "loss": None, "nonfinite": {"loss": "nan"}},
    ]
    assert loss_series(Case.of(metrics=rows)).values == (2.0, None)


def test_a_restart_begins_a_segment():
    rows = [{"step": n, "loss": 1.0} for n in (10, 20, 30, 20, 30, 40)]
    assert [curve.steps for curve in loss_curves(Case.of(metrics=rows))] == [(10, 20, 30), (20, 30, 40)]


def test_optimizers_that_alternate_have_a_curve_each():
    rows = [{"step": n, "loss": 1.0 + n % 2, "lr": 0.1, "optimizer": f"adam {n % 2}"} for n in range(40)]
    curves = loss_curves(Case.of(metrics=rows))
    assert [(curve.part, curve.concurrent, set(curve.values)) for curve in curves] == [
        ("adam 0", True, {1.0}),
        ("adam 1", True, {2.0}),
    ]
    assert len(lr_curves(Case.of(metrics=rows))) == 2


def test_validation_losses_of_a_log_with_several_sets_are_found():
    rows = [{"step": n, "user": {"eval_a_loss": 0.5 / n}} for n in range(1, 5)]
    assert validation_series(Case.of(metrics=rows)).name == "eval_a_loss"


def test_a_bare_split_beside_the_loss_is_another_metric():
    lines = [f"epoch {e} loss {1.4 - e / 5:.2f} train {0.4 + e / 10:.2f} test {0.3 + e / 10:.2f}" for e in range(5)]
    found = {key: one.role for key, one in printed(*lines).items() if one.role}

    assert found == {"train_loss": TRAIN, "train": TRAIN_METRIC, "test": VAL_METRIC}
    assert printed("epoch 1 loss 0.6 val 0.7")["val_loss"].role == VAL
