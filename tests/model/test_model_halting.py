"""Halting: a distribution that learns, and work that is really left out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from cognate.model.config import SPECIALISATIONS, preset
from cognate.model.halting import answers_used, diversity, halting_log_probabilities, prior_divergence
from cognate.model.model import CognateModel

LOGITS = st.lists(st.lists(st.floats(-30, 30), min_size=3, max_size=3), min_size=1, max_size=8)


@given(LOGITS)
def test_halting_probabilities_sum_to_one(rows: list[list[float]]) -> None:
    log_p = halting_log_probabilities(torch.tensor(rows))
    assert log_p.shape == (len(rows), 4)
    torch.testing.assert_close(log_p.exp().sum(-1), torch.ones(len(rows)))
    assert torch.isfinite(log_p).all()


@given(LOGITS)
def test_a_lower_threshold_never_thinks_longer(rows: list[list[float]]) -> None:
    log_p = halting_log_probabilities(torch.tensor(rows))
    earlier, later = answers_used(log_p, 0.3), answers_used(log_p, 0.9)
    assert (earlier <= later).all()
    assert earlier.min() >= 1
    assert later.max() <= 4


@given(LOGITS)
def test_prior_and_diversity_are_never_negative(rows: list[list[float]]) -> None:
    log_p = halting_log_probabilities(torch.tensor(rows))
    assert prior_divergence(log_p).min() >= -1e-6
    assert diversity(log_p[None], torch.ones(1, len(rows), dtype=torch.bool)) >= -1e-5


def test_diversity_is_zero_where_all_tokens_stop_alike_and_large_where_they_differ() -> None:
    alike = halting_log_probabilities(torch.tensor([[[1.0, 0.0, -1.0]] * 6]))
    scored = torch.ones(1, 6, dtype=torch.bool)
    assert abs(diversity(alike, scored).item()) < 1e-5
    apart = halting_log_probabilities(torch.tensor([[[20.0, 0, 0]] * 3 + [[-20.0, -20.0, -20.0]] * 3]))
    assert diversity(apart, scored).item() == pytest.approx(6 * torch.tensor(2.0).log().item(), rel=1e-4)


def test_diversity_adds_up_over_rows_and_ignores_what_is_not_scored() -> None:
    generator = torch.Generator().manual_seed(0)
    log_p = halting_log_probabilities(torch.randn(3, 7, 3, generator=generator))
    scored = torch.rand(3, 7, generator=generator) > 0.4
    whole = diversity(log_p, scored)
    torch.testing.assert_close(whole, sum(diversity(log_p[row : row + 1], scored[row : row + 1]) for row in range(3)))
    disturbed = torch.where(scored[..., None], log_p, halting_log_probabilities(torch.full((3, 7, 3), 5.0)))
    torch.testing.assert_close(whole, diversity(disturbed, scored))


def test_what_is_predicted_to_stop_in_training_stops_at_inference() -> None:
    # With one step nothing can differ between the two but the rule itself: later steps see stopped neighbours.
    model = CognateModel(preset("tiny", None, steps=1, supervision=(0.5, 1.0)))
    torch.nn.init.normal_(model.halting_head.weight, std=1.0)
    tokens = torch.randint(512, (2, 30), generator=torch.Generator().manual_seed(0))
    used = model.decide(tokens).answers_used
    assert torch.equal(used, answers_used(model(tokens).halting, model.config.halting_threshold))
    assert used.unique().numel() == 2


def spread_out(name: str | None = None) -> CognateModel:
    """A model whose tokens stop at different answers."""
    model = CognateModel(preset("tiny", name)).eval()
    model.load_state_dict(CognateModel(preset("tiny")).state_dict())
    torch.nn.init.normal_(model.halting_head.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    return model


def test_speed_stops_earlier_than_reasoning() -> None:
    tokens = torch.randint(512, (2, 60), generator=torch.Generator().manual_seed(1))
    used = {name: spread_out(name).decide(tokens).answers_used.float().mean().item() for name in SPECIALISATIONS}
    assert used["speed"] < used["memory"] < used["reasoning"]


def test_stopped_tokens_cost_no_operations() -> None:
    model = spread_out()
    tokens = torch.randint(512, (1, 60), generator=torch.Generator().manual_seed(1))

    def operations(threshold: float) -> int:
        with FlopCounterMode(display=False) as counter:
            model.decide(tokens, threshold=threshold)
        return int(counter.get_total_flops())

    used = {
        threshold: model.decide(tokens, threshold=threshold).answers_used.float().mean().item() for threshold in (0.3, 0.6, 2.0)
    }
    assert used[0.3] < used[0.6] < used[2.0] == 4
    assert operations(0.3) < operations(0.6) < operations(2.0)
    # A token that stops at once costs no refinement at all: what is left is the backbone, the first answer and the head.
    torch.nn.init.constant_(model.halting_head.bias, 50.0)
    without = operations(0.5)
    with FlopCounterMode(display=False) as counter:
        model.logits(model.recursion.initial_answer(model.features(tokens, None, None, _view())[0]))
    assert without <= 1.15 * counter.get_total_flops()


def _view():  # type: ignore[no-untyped-def]
    from cognate.model.attention import Visibility

    return Visibility()


@settings(max_examples=10, deadline=None)
@given(threshold=st.floats(0.05, 1.0), seed=st.integers(0, 99))
def test_a_row_is_answered_alike_whatever_its_neighbours_do(threshold: float, seed: int) -> None:
    model = spread_out()
    tokens = torch.randint(512, (4, 25), generator=torch.Generator().manual_seed(seed))
    together = model.decide(tokens, threshold=threshold)
    for row in range(4):
        alone = model.decide(tokens[row : row + 1], threshold=threshold)
        assert torch.equal(alone.answers_used[0], together.answers_used[row])
        torch.testing.assert_close(alone.logits[0], together.logits[row], atol=1e-5, rtol=1e-4)


def test_without_early_exit_inference_gives_the_last_answer() -> None:
    model = spread_out()
    tokens = torch.randint(512, (2, 40), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        last = model.logits(model(tokens).answers[-1])
    torch.testing.assert_close(model.decide(tokens, threshold=2.0).logits, last, atol=1e-5, rtol=1e-4)


@settings(max_examples=8, deadline=None)
@given(prompt=st.integers(1, 59), seed=st.integers(0, 99))
def test_decoding_by_cache_equals_the_full_forward(prompt: int, seed: int) -> None:
    model = CognateModel(preset("tiny", None, window=20)).eval()  # the sequence is three windows long
    torch.nn.init.normal_(model.halting_head.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    tokens = torch.randint(512, (2, 60), generator=torch.Generator().manual_seed(seed))
    full = model.decide(tokens)
    cache = model.new_cache()
    parts = [model.decide(tokens[:, :prompt], cache)]
    parts += [model.decide(tokens[:, at : at + 1], cache) for at in range(prompt, 60)]
    assert torch.equal(torch.cat([part.answers_used for part in parts], 1), full.answers_used)
    torch.testing.assert_close(torch.cat([part.logits for part in parts], 1), full.logits, atol=1e-5, rtol=1e-4)
    assert full.answers_used.unique().numel() > 1
