"""Which tokens of each row a loss scores: by hand-made rows, and as the recorder sees it at a call."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.live.chance import generators
from cognate.observe.live.identity import special_tokens
from cognate.observe.live.sites import Sites
from cognate.observe.live.targets import audit, edges

BOS, EOS, PAD, SEP, NO = 0, 1, 2, 3, -100
PROMPTS = [[BOS, 7, 8, SEP], [BOS, 9, SEP], [BOS, 5, 6, 7, SEP]]
ANSWERS = [[11, 12, EOS], [13, EOS], [14, 15, 16, EOS]]


def batch(prompts=PROMPTS, answers=ANSWERS, pad=PAD, left=False):
    rows = [p + a for p, a in zip(prompts, answers, strict=True)]
    labels = [[NO] * len(p) + a for p, a in zip(prompts, answers, strict=True)]
    width = max(map(len, rows))
    fill = [width - len(row) for row in rows]
    if left:
        return torch.tensor([[pad] * n + r for n, r in zip(fill, rows, strict=True)]), torch.tensor(
            [[NO] * n + r for n, r in zip(fill, labels, strict=True)]
        )
    return torch.tensor([r + [pad] * n for n, r in zip(fill, rows, strict=True)]), torch.tensor(
        [r + [NO] * n for n, r in zip(fill, labels, strict=True)]
    )


def shifted(labels):
    return F.pad(labels, (0, 1), value=NO)[:, 1:].reshape(-1)


@pytest.mark.parametrize("left", [False, True])
def test_a_prompt_and_its_answer(left):
    ids, labels = batch(left=left)
    found = audit(shifted(labels), [ids, (ids != PAD).long(), labels], NO)
    assert found is not None
    assert (found["offset"], found["pad"], found["pad_scored"]) == (1, PAD, 0)
    assert [row[2] for row in found["before"]] == [SEP] * 3
    assert (found["opens"], found["closes"], found["scored"]) == ([11, 13, 14], [EOS] * 3, [3, 2, 4])
    assert (found["ends"], [row[0] for row in found["head"]]) == ([EOS] * 3, [BOS] * 3)
    assert found["after"] == ([-1] * 3 if left else [PAD, PAD, -1])


def test_inputs_that_are_shorter_by_one_and_a_mask_that_marks_the_padding():
    ids, labels = batch()
    tokens, targets = ids[:, :-1], labels[:, 1:]
    for mask in (tokens == PAD, (tokens != PAD).long()):
        found = audit(targets.reshape(-1), [mask, tokens], NO)
        assert found is not None
        assert (found["offset"], found["pad"]) == (1, PAD)
        assert found["last"] == [6, 4, 8]
        assert found["end"] == [6, 4, 7]


def test_padding_shows_without_a_mask_where_rows_end_in_runs_of_several_lengths():
    ids = torch.tensor([[5, 6, 7, 8, 2, 2], [5, 7, 2, 2, 2, 2], [8, 7, 9, 4, 6, 5]])
    found = audit(ids.reshape(-1), [ids], NO)
    assert found is not None
    assert (found["pad"], found["pad_scored"], found["end"], found["offset"]) == (2, 6, [3, 1, 5], 0)


def test_labels_that_are_no_shift_of_an_input_are_told_alone():
    labels = torch.tensor([[11, 12, EOS, NO], [13, EOS, NO, NO], [NO, NO, NO, NO]])
    source = torch.randint(20, 40, (3, 9))
    found = audit(labels.reshape(-1), [source, labels], NO)
    assert found is not None
    assert "offset" not in found
    assert (found["closes"], found["last"], found["scored"]) == ([EOS, EOS, -1], [2, 1, -1], [3, 2, 0])


def test_rows_without_a_scored_token_are_laid_over_the_tokens_all_the_same():
    ids, _ = batch()
    found = audit(torch.full((ids.numel(),), NO), [ids], NO)
    assert found is not None
    assert (found["scored"], found["first"], found["width"]) == ([0] * 3, [-1] * 3, ids.shape[1])


@pytest.mark.parametrize("target", [torch.rand(4, 3), torch.randint(3, (8,)), torch.zeros(0, dtype=torch.long)])
def test_what_is_no_row_of_tokens_is_left_alone(target):
    assert audit(target, [torch.randint(9, (8, 6))], NO) is None


def test_the_first_and_last_tokens_of_a_batch():
    assert edges(torch.tensor([[0, 7, 8, 3]])) == {"heads": [[0, 7]], "tails": [[8, 3]]}
    assert edges(torch.rand(2, 5)) == {}
    assert edges(torch.ones(2, 5, dtype=torch.long)) == {}  # a mask


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.head = nn.Embedding(20, 8), nn.Linear(8, 20)

    def forward(self, ids):
        return self.head(self.embed(ids))


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_recorder_audits_the_targets_also_where_a_mask_follows_the_loss(bench, reduction):
    ids, labels = batch()
    here = bench()
    tokens, targets = ids[:, :-1], labels[:, 1:]

    def loss(scores):
        if reduction == "mean":
            return F.cross_entropy(scores.flatten(0, 1), targets.flatten())
        kept = (targets != NO).float().flatten()
        each = F.cross_entropy(scores.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
        return (each * kept).sum() / kept.sum()

    here.window(Model(), loss, tokens)
    found = here.losses.kept[0].row["target"]["audit"]
    assert (found["opens"], found["closes"], found["scored"]) == ([11, 13, 14], [EOS] * 3, [3, 2, 4])


class Jitter:
    def __init__(self, rng):
        self.rng = rng

    def __call__(self, x):
        return x + self.rng.random()


DRAWS = random.Random(3)


class Rows:
    def __init__(self, **parts):
        vars(self).update(parts)

    def __getitem__(self, i):
        return DRAWS.random()


def test_generators_that_a_data_set_carries_are_found_and_not_drawn_from():
    here = Sites([__file__.rpartition("/")[0]])
    noise = torch.Generator().manual_seed(1)
    before = noise.get_state(), DRAWS.getstate()
    rows = Rows(noise=noise, steps=[Jitter(random.Random(1))], label="rows")
    found = generators(rows, here)
    assert set(found) == {"noise", "steps.rng", "global DRAWS"}
    assert found["steps.rng"]["cls"] == "Jitter"
    assert found == generators(rows, here)
    assert torch.equal(before[0], noise.get_state())
    assert before[1] == DRAWS.getstate()


def test_special_tokens_are_read_from_a_configuration():
    model = nn.Sequential(Model())
    assert special_tokens(model) == {}
    model[0].config = type("Config", (), {"vocab_size": 20, "eos_token_id": 1, "bos_token_id": None})()
    assert special_tokens(model) == {"vocab_size": 20, "eos_token_id": 1}
