"""Documents packed into one row: blocked from one another, or not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.packing import packing
from cognate.observe.probes.replay import NotRun

LENGTH, ROWS = 6, 5


class Packed(nn.Module):
    def __init__(self, blocked: bool):
        super().__init__()
        self.embed, self.place = nn.Embedding(20, 16), nn.Embedding(3 * LENGTH, 16)
        self.qkv, self.head, self.blocked = nn.Linear(16, 48), nn.Linear(16, 20), blocked

    def forward(self, ids, owner=None, place=None):
        allowed = torch.ones(ids.shape[1], ids.shape[1]).tril().bool().expand(len(ids), -1, -1)
        if owner is None and place is not None:
            owner = (place == 0).cumsum(1)
        if self.blocked and owner is not None:
            allowed = allowed & (owner[:, :, None] == owner[:, None, :])
        q, k, v = self.qkv(self.embed(ids) + (self.place(place) if place is not None else 0)).chunk(3, -1)
        return self.head(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed))


def material():
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(2, 20, (ROWS, 3 * LENGTH), generator=generator)
    owner = torch.arange(3).repeat_interleave(LENGTH).expand_as(ids)
    place = torch.arange(LENGTH).repeat(3).expand_as(ids)
    return ids, owner, place


def loss(ids, owner=None):
    target = ids[:, 1:].clone()
    if owner is not None:
        target[owner[:, 1:] != owner[:, :-1]] = -100
    return lambda scores: F.cross_entropy(scores[:, :-1].flatten(0, 1), target.flatten())


@pytest.mark.parametrize(("told", "which"), [("segments", "owner"), ("positions", "place")])
@pytest.mark.parametrize("blocked", [True, False])
def test_a_document_that_sees_its_neighbour_is_told_from_one_that_does_not(bench, told, which, blocked):
    ids, owner, place = material()
    here = bench()
    here.window(Packed(blocked), loss(ids, owner), ids, **{which: {"owner": owner, "place": place}[which]})
    found = here.probe(packing)
    assert (found["told"], found["documents"], found["boundaries_scored"]) == (told, 3, 0)
    assert (found["later"] < 1e-6) is blocked
    assert found["own"] > 0.01


def test_rows_of_which_nothing_says_where_documents_begin_are_left_alone(bench):
    ids, _, place = material()
    for given in (None, torch.arange(ids.shape[1]).expand_as(ids), torch.zeros_like(place)):
        here = bench()
        here.window(Packed(False), loss(ids), ids, place=given)
        with pytest.raises(NotRun, match="nothing that says where documents begin"):
            here.probe(packing)


def test_a_classifier_with_token_types_is_left_alone(bench):
    ids, owner, _ = material()
    here = bench()
    here.window(Packed(False), lambda scores: F.cross_entropy(scores[:, 0], ids[:, 0]), ids, owner)
    with pytest.raises(NotRun, match="not the input shifted by one"):
        here.probe(packing)
