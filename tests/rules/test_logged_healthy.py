"""Healthy curves of other people's runs, of many shapes: no rule may call any of them an error."""

from __future__ import annotations

import math
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st


def cosine(share):
    return 1e-3 * (1 + math.cos(math.pi * share)) / 2


def drop(at, centre, width):
    """1 before `centre`, 0 behind it."""
    return 1 / (1 + math.exp(max(-50.0, min(50.0, (at - centre) / width))))


# Each is the loss at a share t of the run, before noise.
SHAPES = {
    "power law": lambda t, r: 0.3 + 3 / (1 + 50 * t) ** r,
    "a shelf that learns late": lambda t, r: 0.2 + 2.1 * drop(t, 0.3 + 0.5 * r, 0.03),
    "two shelves": lambda t, r: 0.3 + drop(t, 0.3, 0.02) + drop(t, 0.75, 0.02),
    "a cosine tail": lambda t, r: 1.5 + 1.5 * math.exp(-4 * t) - 0.15 * (1 - math.cos(math.pi * t)),
    "fine-tuning": lambda t, r: 1.4 + 0.15 * math.exp(-15 * t) - 0.05 * t,
    "a KL term that is annealed": lambda t, r: 60 + 100 * math.exp(-12 * t) + 20 * min(1.0, t / (0.2 + 0.4 * r)),
    "a curriculum": lambda t, r: 0.4 + 0.2 * int(4 * t) + 1.2 * math.exp(-5 * (4 * t % 1)),
    "warm restarts": lambda t, r: 0.3 + 2 * math.exp(-6 * t) + 0.12 * (1 + math.cos(math.pi * (5 * t % 1))),
    "a staircase of decays": lambda t, r: 0.2 + 2 / 2 ** int(4 * t),
    "a bump after warm-up": lambda t, r: 0.5 + 2 * math.exp(-6 * t) + 1.5 * math.exp(-(((t - 0.08) / 0.025) ** 2)),
    "long converged": lambda t, r: 1.7 + 2 * math.exp(-30 * t),
    "contrastive, from ln 512": lambda t, r: math.log(512) - 1.8 * (1 - math.exp(-3 * t)),
    "a negative log-likelihood": lambda t, r: 3 - 8 * (1 - math.exp(-4 * t)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.sampled_from([12, 40, 90, 300, 1200]), noise=st.sampled_from([0.0, 0.01, 0.05, 0.2]))
def test_a_healthy_shape_with_any_noise_is_no_error(said, log, shape, seed, count, noise):
    random = Random(seed)
    fixed = random.random()
    # Log-normal batches with a heavy tail: one in twenty scatters four times as far.
    losses = [
        shape(at / count, fixed) * math.exp(noise * random.gauss(0, 1) * (4 if random.random() < 0.05 else 1))
        for at in range(count)
    ]
    rates = random.choice([None, cosine])
    assert "error" not in {severity for _, severity in said(log(losses, rate=rates))}


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), count=st.sampled_from([40, 200, 800]))
def test_batches_of_one_sample_and_spikes_that_recover_are_no_error(said, log, seed, count):
    random = Random(seed)
    tiny = [random.gauss(0, 1) ** 2 * (0.3 + 2 * math.exp(-4 * at / count)) + 0.01 for at in range(count)]
    spiky = [0.5 + 2 * math.exp(-5 * at / count) for at in range(count)]
    centre = random.randrange(count // 4, count * 3 // 4)
    for far in range(5):
        spiky[centre + far] *= 1 + random.uniform(3, 20) * math.exp(-far)
    for losses in (tiny, spiky):
        assert "error" not in {severity for _, severity in said(log(losses))}


def test_validation_that_starts_high_and_rises_a_little_is_no_alarm(said, log):
    random = Random(3)
    losses = [0.05 + 1.5 / (1 + at) for at in range(40)]
    first_of_batch_norm = [14.0, *((0.1 + 0.8 / (1 + at)) * math.exp(random.gauss(0, 0.05)) for at in range(39))]
    found = said(log(losses, first_of_batch_norm), unit="epoch")
    assert not [name for name, severity in found if severity != "info"]


def test_an_agent_and_a_game_may_lose_more_and_more(said, log):
    random = Random(5)
    rising = [0.01 + 0.5 * at / 300 for at in range(300)]
    returns = [200 * (1 - math.exp(-4 * at / 300)) + random.gauss(0, 10) for at in range(300)]
    agent = log(rising, **{"rollout/ep_rew_mean": returns, "train/value_loss": [9 * value for value in rising]})
    assert said(agent, "reinforcement") == set()
    game = [{"step": s, "user": {"Gen Loss": 0.7 + s / 150, "Disc Loss": 1.39 - s / 400}} for s in range(400)]
    assert said(game, "adversarial") == set()


def test_a_training_loss_that_rises_while_validation_improves_is_no_error(said, log):
    rising = [2.0 * math.exp(-at / 10) + 0.4 + 3.0 * at / 200 for at in range(200)]
    assert ("loss-diverging", "error") in said(log(rising))
    better = said(log(rising, [1.5 - 0.05 * at for at in range(20)]))
    assert ("loss-diverging", "error") not in better


def test_a_rate_that_print_rounds_to_zero_is_not_zero(said, log):
    falling = log([2.0 / (1 + at / 20) for at in range(60)], rate=lambda share: 0.0)
    still = log([2.0] * 60, rate=lambda share: 0.0)
    assert "opt-lr-zero-or-dead-tail" not in {name for name, _ in said(falling)}
    assert ("opt-lr-zero-or-dead-tail", "error") in said(still)
