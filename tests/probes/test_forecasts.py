"""Models that continue a series of numbers, and models that compare the samples of a batch, under their probes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cognate.observe.probes.batch_independence import batch_independence
from cognate.observe.probes.causality import causality
from cognate.observe.probes.determinism import determinism
from cognate.observe.probes.replay import NotRun

BATCH, TIME = 6, 24


class Convolved(nn.Module):
    """Forecasts the next value from a window of the last three, or of one on either side."""

    def __init__(self, both_sides: bool, channels: int = 1, norm: bool = False) -> None:
        super().__init__()
        self.pad = (1, 1) if both_sides else (2, 0)
        self.window = nn.Conv1d(channels, channels, 3)
        self.norm = nn.BatchNorm1d(channels) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.window(F.pad(x, self.pad)))


class Recurrent(nn.Module):
    """(batch, time, columns) in, (batch, time) out."""

    def __init__(self, columns: int, both_ways: bool) -> None:
        super().__init__()
        self.memory = nn.GRU(columns, 8, batch_first=True, bidirectional=both_ways)
        self.out = nn.Linear(16 if both_ways else 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.memory(x)[0]).squeeze(-1)


def series(columns: int = 1) -> Tensor:
    return torch.randn(BATCH, TIME + 3, columns)


@pytest.mark.parametrize("ahead", [1, 3])
@pytest.mark.parametrize("both_sides", [False, True])
def test_a_window_on_both_sides_sees_what_it_forecasts(bench, both_sides, ahead):
    whole = series().squeeze(-1)[:, None]
    made = bench()
    made.window(
        Convolved(both_sides),
        lambda out: F.mse_loss(out, whole[:, :, ahead : TIME + ahead]),
        whole[:, :, :TIME],
    )
    found = made.probe(causality)
    assert found["offset"] == ahead and found["after"] > 0
    # One step further than its window reaches, a forecast does not see its answer.
    assert (found["before"] > 1e-3) is (both_sides and ahead == 1)


def test_batch_statistics_are_no_leak(bench):
    whole = series().squeeze(-1)[:, None]
    made = bench()
    made.window(Convolved(False, norm=True), lambda out: F.mse_loss(out, whole[:, :, 1 : TIME + 1]), whole[:, :, :TIME])
    assert made.probe(causality)["before"] == 0.0


@pytest.mark.parametrize("both_ways", [False, True])
def test_one_column_of_several_is_what_is_forecast(bench, both_ways):
    whole = series(3)
    made = bench()
    made.window(Recurrent(3, both_ways), lambda out: F.l1_loss(out, whole[:, 1 : TIME + 1, 2]), whole[:, :TIME])
    found = made.probe(causality)
    assert (found["before"] > 1e-4) is both_ways
    assert ("leaking_modules" in found) is both_ways and (not both_ways or found["leaking_modules"][0]["cls"] == "GRU")


@pytest.mark.parametrize("target", ["clean", "unrelated", "constant"])
def test_where_nothing_is_continued_the_future_may_be_seen(bench, target):
    x = torch.ones(BATCH, TIME, 1) if target == "constant" else series()[:, :TIME]
    wanted = {"clean": x, "unrelated": torch.randn_like(x), "constant": torch.ones_like(x)}[target].squeeze(-1)
    made = bench()
    made.window(Recurrent(1, True), lambda out: F.mse_loss(out, wanted), x)
    with pytest.raises(NotRun, match="no input of the model shifted"):
        made.probe(causality)


class Restorer(nn.Module):
    """Tells each token from all others of its row, (batch, classes, time) out."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mix, self.out = nn.Embedding(9, 8), nn.Conv1d(8, 8, 3, padding=1), nn.Conv1d(8, 9, 1)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.mix(self.embed(tokens).transpose(1, 2)))


def test_corrupted_tokens_may_be_restored_from_both_sides(bench):
    tokens = torch.randint(1, 9, (BATCH, TIME))
    given = tokens.clone()
    given[:, ::8] = 0
    made = bench()
    made.window(Restorer(), lambda out: F.cross_entropy(out, tokens), given)
    with pytest.raises(NotRun, match="the input itself"):
        made.probe(causality)


def test_a_model_that_is_given_its_targets_unshifted_is_asked(bench):
    tokens = torch.randint(1, 9, (BATCH, TIME))
    made = bench()
    made.window(Restorer(), lambda out: F.cross_entropy(out, tokens), tokens)
    found = made.probe(causality)
    assert found["offset"] == 0 and found["before"] > 1e-3


def test_scores_behind_a_token_that_is_left_out_are_not_guessed_at(bench):
    tokens = torch.randint(1, 9, (BATCH, TIME))
    made = bench()
    made.window(Restorer(), lambda out: F.cross_entropy(out[:, :, 1:], tokens[:, 1:]), tokens)
    with pytest.raises(NotRun, match="not certain"):
        made.probe(causality)


class Towers(nn.Module):
    """Similarities of each left sample with each right one."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 4), nn.Linear(7, 4)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.left(a) @ self.right(b).t()


def test_similarities_over_the_batch_are_no_mixing(bench):
    made = bench()
    made.window(Towers(), lambda out: F.cross_entropy(out, torch.arange(BATCH)), torch.randn(BATCH, 5), torch.randn(BATCH, 7))
    with pytest.raises(NotRun, match="compares the samples"):
        made.probe(batch_independence)


def test_as_many_classes_as_samples_are_still_asked(bench):
    made = bench()
    mixer = nn.Sequential(nn.Linear(5, BATCH), nn.BatchNorm1d(BATCH, track_running_stats=False))
    made.window(mixer, lambda out: F.cross_entropy(out, torch.arange(BATCH)), torch.randn(BATCH, 5))
    assert made.probe(batch_independence)["others"] > 1e-3


class FirstOfAll(nn.Module):
    """Reads a row through a token of its own that stands before it; attention takes the batch for time unless told otherwise."""

    def __init__(self, batch_first: bool) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(9, 8), nn.Linear(8, 3)
        self.first = nn.Parameter(torch.zeros(1, 1, 8))
        self.read = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=batch_first)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.out(self.read(torch.cat([self.first.expand(len(tokens), -1, -1), self.embed(tokens)], 1))[:, 0])


@pytest.mark.parametrize("batch_first", [False, True])
def test_mixing_that_reaches_no_output_is_found_inside(bench, batch_first):
    made = bench()
    made.window(
        FirstOfAll(batch_first), lambda out: F.cross_entropy(out, torch.arange(BATCH) % 3), torch.randint(0, 9, (BATCH, TIME))
    )
    found = made.probe(batch_independence)
    assert found["others"] == 0.0
    assert [m["name"] for m in found["inside"]] == ([] if batch_first else ["read.self_attn"])


def test_a_warm_up_that_is_not_scored_moves_the_targets_along(bench):
    whole = series().squeeze(-1)[:, None]
    for both_sides in (False, True):
        made = bench()
        made.window(Convolved(both_sides), lambda out: F.mse_loss(out[:, :, 8:], whole[:, :, 9 : TIME + 1]), whole[:, :, :TIME])
        found = made.probe(causality)
        assert found["offset"] == 9 and (found["before"] > 1e-3) is both_sides


class GivenLabels(nn.Module):
    """Takes its labels with its tokens, as Hugging Face models do, and refuses ones that it does not know."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(9, 4), nn.Linear(4, 3)

    def forward(self, tokens: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        scores = self.out(self.embed(tokens).mean(1))
        return F.cross_entropy(scores, labels), scores


def test_another_batch_has_labels_that_occur(bench):
    made = bench()
    labels = torch.tensor([0, 2, -100, 1, 2, 0])
    made.window(GivenLabels(), lambda out: out[0], torch.randint(0, 9, (BATCH, TIME)), labels=labels)
    assert made.probe(determinism)["repeat"] == 0.0
