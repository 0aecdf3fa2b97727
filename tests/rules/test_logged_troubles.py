"""What is wrong with other people's runs, as their logs show it."""

from __future__ import annotations

import math
from random import Random

import pytest

from cognate.case.case import Case
from cognate.case.curves import loss_curves, validation_curves


@pytest.fixture(scope="session")
def names(said):
    return lambda rows, *given, **more: {name for name, _ in said(rows, *given, **more)}


def noisy(function, count=200, noise=0.03, seed=1):
    random = Random(seed)
    return [function(at / count) * math.exp(random.gauss(0, noise)) for at in range(count)]


def test_a_loss_that_leaves_for_good(said, names, log):
    exploding = noisy(lambda t: 1 + 2 * math.exp(-6 * t) + (math.exp(20 * (t - 0.6)) - 1 if t > 0.6 else 0))
    jumping = noisy(lambda t: 0.9 + 2 * math.exp(-6 * t) if t < 0.5 else 1.4)
    assert ("loss-diverging", "error") in said(log(exploding))
    assert ("loss-diverging", "warning") in said(log(jumping))
    curriculum = noisy(lambda t: 0.5 + math.exp(-6 * t) if t < 0.5 else 0.5 + 0.6 * math.exp(-9 * (t - 0.5)))
    assert "loss-diverging" not in names(log(curriculum))


@pytest.mark.parametrize("chance", [math.log(2), math.log(10), 0.25, math.log(1000)])
def test_a_loss_at_chance(said, names, log, chance):
    short = [1.04 * chance, *noisy(lambda t: chance, 7, 0.0005)]
    assert ("loss-plateau", "warning") in said(log(short), unit="epoch")
    assert "loss-plateau" not in names(log(noisy(lambda t: 3 * chance * math.exp(-3 * t) + 0.9 * chance, 60, 0.01)))


def test_a_shelf_to_the_end_and_a_loss_that_stands_perfectly_still(said, names, log):
    assert ("loss-plateau", "warning") in said(log(noisy(lambda t: 1.95 + 0.15 * math.exp(-60 * t), 400, 0.003)))
    assert ("loss-plateau", "info") in said(log(noisy(lambda t: 5.8 + 300 * math.exp(-40 * t), 400, 1e-5)))
    under_a_dead_rate = log(noisy(lambda t: 5.8 + 300 * math.exp(-40 * t), 400, 1e-5), rate=lambda t: 1e-3 * math.exp(-30 * t))
    assert "loss-plateau" not in names(under_a_dead_rate)


def test_a_plateau_over_several_segments_is_told_once(said):
    rows = [
        {"step": at, "loss": 0.6932 + 1e-5 * at, **({"segment": part} if part else {})} for part in range(3) for at in range(8)
    ]
    assert [name for name in said(rows, unit="epoch") if name[0] == "loss-plateau"] == [("loss-plateau", "warning")]


def test_a_spike_that_recovers_in_training_in_validation_and_in_one_part(said, log):
    smooth = [0.5 + 2 * math.exp(-at / 30) for at in range(120)]
    train = list(smooth)
    train[70] = 6.0
    assert ("loss-spike", "info") in said(log(train))
    validation = [1.0 + math.exp(-at / 4) for at in range(40)]
    validation[25] = 9.0
    assert ("loss-spike", "info") in said(log(smooth, validation))
    parts = [
        {"step": at, "user": {"train/box": 0.0, "train/box_loss": v, "val/box_loss": v, "val/obj_loss": 9.0 if at == 60 else v}}
        for at, v in enumerate(smooth)
    ]
    assert ("loss-spike", "info") in said(parts, unit="epoch")


def test_nan_to_the_end_at_the_start_and_beside_the_loss(said):
    def holes(where, **more):
        return [
            {"step": at, "loss": None if at in where else 2.0 / (1 + at), **more}
            | ({"nonfinite": {"loss": "nan"}} if at in where else {})
            for at in range(60)
        ]

    assert ("loss-nonfinite", "error") in said(holes(range(40, 60)))
    assert ("loss-nonfinite", "info") in said(holes(range(2)))
    assert ("loss-nonfinite", "warning") in said(holes([30]))
    beside = [
        {"step": at, "loss": 2.0 / (1 + at), "user": {"AP/small": None}, "nonfinite": {"user.AP/small": "nan"}}
        for at in range(60)
    ]
    assert said(beside) == {("loss-other-nonfinite", "info")}
    validation = [
        {"step": at, "loss": 2.0 / (1 + at), "val_loss": None if at > 30 else 1.0}
        | ({"nonfinite": {"val_loss": "nan"}} if at > 30 else {})
        for at in range(60)
    ]
    assert ("loss-other-nonfinite", "warning") in said(validation)
    lost = [
        {"step": at, "user": {"q": None, "return": None, "fps": 9.0}, "nonfinite": {"user.q": "nan", "user.return": "nan"}}
        if at > 30
        else {"step": at, "user": {"q": 1.0 + at, "return": 2.0, "fps": 9.0}}
        for at in range(60)
    ]
    assert ("loss-other-nonfinite", "error") in said(lost)


def test_the_parts_of_a_loss_are_judged_by_their_sum(said):
    rows = [
        {
            "step": at,
            "user": {"train/box_loss": 2 / (1 + at), "train/cls_loss": 0.2 + at / 100, "val/box_loss": 1.0, "val/cls_loss": 2.0},
        }
        for at in range(40)
    ]
    case = Case.of(info={"origin": "a log", "log": {"step_unit": "epoch"}}, metrics=rows)
    (loss,), (validation,) = loss_curves(case), validation_curves(case)
    assert loss.values[3] == pytest.approx(0.5 + 0.23) and validation.values == (3.0,) * 40
    assert loss.name == "sum of train/box_loss, train/cls_loss" and loss.unit == "epoch"
    for row in rows[25:]:
        row["user"]["train/box_loss"] = None
        row["nonfinite"] = {"user.train/box_loss": "nan"}
    assert ("loss-nonfinite", "error") in said(rows, unit="epoch")


def test_validation_that_did_not_run(said, names, log):
    def rows(last, metric):
        return [
            {
                "step": at,
                "user": {"train/box_loss": 2 / (1 + at), "val/box_loss": 0.0 if at < 18 else last, "metrics/mAP": metric},
            }
            for at in range(19)
        ]

    assert ("eval-validation-empty", "warning") in said(rows(0.0, 0.0), unit="epoch")
    assert ("eval-validation-empty", "info") in said(rows(1.3, 0.0), unit="epoch")
    assert "eval-validation-empty" not in names(log([2 / (1 + at) for at in range(40)], [1 / (1 + at) for at in range(20)]))


def test_too_short_to_tell(names, log):
    assert "loss-too-short" in names([{"step": at, "loss": 12.5} for at in range(3)])
    assert "loss-too-short" in names(log([9.8, 9.2, 8.9, 8.5, 8.2, 7.9, 7.8, 7.6, 7.4, 7.3]), unit="epoch")
    assert "loss-too-short" in names([{"step": at, "loss": 10.9 - 0.04 * at} for at in range(95)])
    turned = log([0.7 - 0.05 * at for at in range(12)], [0.7, 0.6, 0.55, 0.5, 0.52, 0.56, 0.6, 0.63, 0.65, 0.7])
    assert "loss-too-short" not in names(turned, unit="epoch")


def test_a_return_that_never_rises(said):
    random = Random(7)
    flat = [{"step": at, "user": {"rollout/return": random.gauss(-300, 60), "train/critic_loss": at / 9}} for at in range(300)]
    assert said(flat, "reinforcement") == {("loss-return-flat", "warning")}


def test_steps_that_a_loss_scaler_skipped(names):
    def rows(skipped, scale):
        return [
            {"step": at, "loss": 2 / (1 + at), "user": {"number of skipped iterations": skipped(at), "loss scale": scale(at)}}
            for at in range(60)
        ]

    assert "num-steps-skipped" in names(rows(lambda at: 8, lambda at: 1024.0))
    assert "num-steps-skipped" in names(rows(lambda at: 0, lambda at: max(1.0, 2.0 ** (16 - at))))
    assert "num-steps-skipped" not in names(rows(lambda at: 16 if at == 0 else 0, lambda at: 65536.0))


def test_teeth_at_the_epochs_that_a_log_counts(said):
    teeth = [{"step": at, "epoch": at / 40, "loss": 3.0 - 0.4 * (at // 40) + 0.01 * (at * 7 % 5)} for at in range(240)]
    assert ("loss-epoch-sawtooth", "info") in said(teeth)


def test_leaps_of_somebody_elses_loss_are_no_unclipped_gradients(names):
    level, rows = 2.0, []
    for at in range(120):
        level = level * 2.5 if at in (31, 51, 71, 91) else max(0.1, level * 0.99)
        rows.append({"step": at, "loss": 5000.0 if at in (30, 50, 70, 90) else level})
    assert "grad-spike" not in names(rows)
