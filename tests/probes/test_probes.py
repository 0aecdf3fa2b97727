"""Each experiment on a small model with the fault and on one without it."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cognate.observe.probes.batch_independence import batch_independence
from cognate.observe.probes.causality import causality
from cognate.observe.probes.determinism import determinism
from cognate.observe.probes.first_loss import first_loss
from cognate.observe.probes.gradient_reach import gradient_reach
from cognate.observe.probes.input_dependence import input_dependence
from cognate.observe.probes.mode_gap import mode_gap
from cognate.observe.probes.overfit_batch import overfit_batch
from cognate.observe.probes.replay import NotRun
from cognate.observe.probes.small_step import small_step

WORDS, TIME, BATCH = 17, 12, 6


class Attention(nn.Module):
    def __init__(self, mask: str):
        super().__init__()
        self.qkv, self.mask = nn.Linear(16, 48), mask

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        time = x.shape[1]
        allowed = {
            "causal": torch.ones(time, time).tril(),
            "window": torch.ones(time, time).tril(1).triu(-1),
            "prefix": torch.ones(time, time).tril().index_fill(1, torch.arange(4), 1.0),
        }[self.mask]
        return F.scaled_dot_product_attention(q, k, v, attn_mask=allowed.bool())


class Block(nn.Module):
    def __init__(self, mask: str):
        super().__init__()
        self.norm, self.attend, self.drop = nn.LayerNorm(16), Attention(mask), nn.Dropout(0.1)

    def forward(self, x):
        return x + self.drop(self.attend(self.norm(x)))


class Lm(nn.Module):
    """A language model; `inside` computes the loss in its own forward, as nanoGPT does."""

    def __init__(self, *masks: str, inside: bool = False, ignore: int = 0):
        super().__init__()
        self.embed, self.place = nn.Embedding(WORDS, 16), nn.Embedding(TIME, 16)
        self.blocks = nn.ModuleList(Block(mask) for mask in masks)
        self.head, self.inside, self.ignore = nn.Linear(16, WORDS), inside, ignore

    def forward(self, tokens, targets=None):
        x = self.embed(tokens) + self.place(torch.arange(tokens.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = self.head(x)
        if targets is None or not self.inside:
            return logits
        return logits, F.cross_entropy(logits.reshape(-1, WORDS), targets.reshape(-1), ignore_index=-1)


def text():
    return torch.randint(0, WORDS, (BATCH, TIME + 1))


def lm_window(made, model, ignored_prefix=0):
    tokens = text()
    given, targets = tokens[:, :-1], tokens[:, 1:].clone()
    targets[:, :ignored_prefix] = -100
    made.window(model, lambda out: F.cross_entropy(out.transpose(1, 2), targets), given)


@pytest.mark.parametrize("inside", [False, True])
def test_a_causal_model_moves_by_exactly_nothing(bench, inside):
    made, tokens = bench(), text()
    if inside:
        model = Lm("causal", "causal", inside=True)
        made.window(model, lambda out: out[1], tokens[:, :-1], targets=tokens[:, 1:])
    else:
        lm_window(made, Lm("causal", "causal"))
    found = made.probe(causality)
    assert found["before"] == 0.0 and found["after"] > 0 and found["offset"] == 1
    assert set(found["modes"]) == {"eval", "train"} and not any(key.startswith("leaking") for key in found)


def test_a_symmetric_window_is_named(bench):
    made = bench()
    lm_window(made, Lm("causal", "window", "causal"))
    found = made.probe(causality)
    assert found["before"] > 1e-3
    assert "blocks.1.attend" in str(found)


def test_a_prefix_that_sees_itself_leaks_nothing_that_counts(bench):
    made = bench()
    lm_window(made, Lm("prefix", "prefix"), ignored_prefix=4)
    assert made.probe(causality)["before"] == 0.0
    made = bench()
    lm_window(made, Lm("prefix", "prefix"))  # but where the prefix is predicted too, it does
    assert made.probe(causality)["before"] > 1e-3


def test_where_there_is_no_future_causality_is_not_asked(bench):
    made = bench()
    model = nn.Sequential(nn.Embedding(WORDS, 8), nn.Flatten(), nn.Linear(8 * TIME, 3))
    made.window(model, lambda out: F.cross_entropy(out, torch.arange(BATCH) % 3), text()[:, 1:])
    with pytest.raises(NotRun, match="no future to leak"):
        made.probe(causality)
    made = bench()
    tokens = text()
    tagger = Lm("window")
    made.window(tagger, lambda out: F.cross_entropy(out.transpose(1, 2), torch.randint(0, WORDS, (BATCH, TIME))), tokens[:, :-1])
    with pytest.raises(NotRun, match="not the input shifted"):
        made.probe(causality)


class BatchMixer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return self.layer(x - x.mean(0))


def classifier(*middle):
    return nn.Sequential(nn.Linear(5, 8), *middle, nn.Linear(8, 3))


def labelled(n=8):
    return torch.randn(n, 5), torch.randint(0, 3, (n,))


def classify(made, model, step=2, x=None, y=None, **options):
    if x is None:
        x, y = labelled()
    made.window(model, lambda out: F.cross_entropy(out, y, **options), x, step=step)


@pytest.mark.parametrize(
    ("model", "mixes"), [(BatchMixer, True), (lambda: classifier(nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5)), False)]
)
def test_samples_that_mix(bench, model, mixes):
    made = bench()
    classify(made, model())
    found = made.probe(batch_independence)
    assert found["own"] > 0 and found["batch"] == 8
    assert (found["others"] > 1e-3 and found["samples_moved"] == 7) if mixes else found["others"] == 0.0


def test_batch_independence_needs_a_batch_that_it_can_tell(bench):
    made = bench()
    classify(made, classifier(), x=torch.randn(1, 5), y=torch.tensor([1]))
    with pytest.raises(NotRun, match="one sample"):
        made.probe(batch_independence)
    made = bench()
    classify(made, classifier(), x=torch.randn(5, 5), y=torch.zeros(5, dtype=torch.long))
    with pytest.raises(NotRun, match="same size"):
        made.probe(batch_independence)


class Remembers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer, self.state = nn.Linear(5, 3), None

    def forward(self, x):
        out = self.layer(x)
        if self.state is not None:
            out = out + 0.5 * self.state
        self.state = out.detach().mean(0)
        return out


class RemembersInBuffer(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)
        self.register_buffer("seen", torch.zeros(3))

    def forward(self, x):
        out = self.layer(x) + self.seen
        self.seen.lerp_(out.detach().mean(0), 0.5)
        return out


class DropsAlways(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return F.dropout(self.layer(x), 0.5)


def test_evaluation_that_is_a_function(bench):
    made = bench()
    classify(made, classifier(nn.BatchNorm1d(8), nn.Dropout(0.5)))
    found = made.probe(determinism)
    assert found["repeat"] == found["after_other_batch"] == 0.0 and found["state_moved"] == []


def test_evaluation_that_draws(bench):
    made = bench()
    classify(made, DropsAlways())
    found = made.probe(determinism)
    assert found["repeat"] > 0 and found["after_other_batch"] == 0.0 and found["state_moved"] == []


@pytest.mark.parametrize(("model", "name"), [(Remembers, "state"), (RemembersInBuffer, "seen")])
def test_evaluation_that_remembers(bench, model, name):
    made = bench()
    classify(made, model())
    found = made.probe(determinism)
    assert found["after_other_batch"] > 0 and found["state_moved"] == [name]


class HalfUsed(nn.Module):
    def __init__(self):
        super().__init__()
        self.used, self.cut, self.unused = nn.Linear(5, 3), nn.Linear(5, 3), nn.Linear(5, 3)
        self.times_zero, self.frozen = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3), requires_grad=False)

    def forward(self, x):
        return self.used(x) + self.cut(x).detach() + 0.0 * self.times_zero + self.frozen


def test_parameters_that_the_gradient_does_not_reach(bench):
    made = bench()
    classify(made, HalfUsed())
    found = made.probe(gradient_reach)
    assert found["none"] == ["cut.weight", "cut.bias", "unused.weight", "unused.bias"]
    assert found["zero"] == ["times_zero"] and found["present"] == 2
    made = bench()
    classify(made, classifier(nn.ReLU()))
    assert made.probe(gradient_reach) == {"none": [], "zero": [], "present": 4, "loss": "cross_entropy"}


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_small_step_goes_down_unless_the_sign_is_flipped(bench, sign):
    made = bench()
    x, y = labelled()
    made.window(classifier(nn.Tanh()), lambda out: sign * F.cross_entropy(out, target=y), x)
    found = made.probe(small_step)
    assert found["relative"] == pytest.approx(sign * found["aim"], rel=0.2)


def test_a_small_step_takes_the_coefficient_into_account(bench):
    made = bench()
    x, y = labelled()
    made.window(classifier(nn.Tanh()), lambda out: 0.01 * F.cross_entropy(out, y), x)
    found = made.probe(small_step)
    assert found["relative"] == pytest.approx(found["aim"], rel=0.2)


def test_a_small_step_needs_gradients(bench):
    made, model = bench(), classifier()
    classify(made, model)
    model.zero_grad()
    with pytest.raises(NotRun, match="gone, zero or not finite"):
        made.probe(small_step)


def test_the_first_loss(bench):
    made = bench()
    model = classifier()
    nn.init.zeros_(model[-1].weight), nn.init.zeros_(model[-1].bias)
    classify(made, model)
    found = made.probe(first_loss)
    assert found["value"] == pytest.approx(math.log(3)) and found["expected"] == pytest.approx(math.log(3))
    assert (found["classes"], found["kind"]) == (3, "logits")
    for options, reason in (
        ({"weight": torch.ones(3)}, "weighted"),
        ({"reduction": "sum"}, "summed"),
        ({"label_smoothing": 0.1}, "smoothed"),
    ):
        made = bench()
        classify(made, classifier(), **options)
        with pytest.raises(NotRun, match=reason):
            made.probe(first_loss)


class Deaf(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias, self.scale = nn.Parameter(torch.randn(3)), nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return self.bias + self.scale * x[:, :3] * 0


def test_a_model_that_does_not_use_its_input(bench):
    made = bench()
    classify(made, Deaf())
    found = made.probe(input_dependence)
    assert found["real"] == found["shifted"] and found["output_spread"] == 0.0
    x = torch.eye(5)[torch.arange(8) % 5] * 9
    made, model = bench(), nn.Linear(5, 3)
    with torch.no_grad():
        model.weight.copy_(torch.eye(3, 5)), model.bias.zero_()
    classify(made, model, x=x, y=(torch.arange(8) % 5).clamp(max=2))
    found = made.probe(input_dependence)
    assert found["shifted"] > found["real"] + 1 and found["output_spread"] > 0.1
    assert found["label_entropy"] == pytest.approx(-sum(c / 8 * math.log(c / 8) for c in (2, 2, 4)), rel=1e-4)


def test_one_batch_by_heart(bench):
    made = bench()
    x, y = labelled()
    classify(made, classifier(nn.Tanh()), x=x * 3, y=y)
    found = made.probe(overfit_batch)
    assert found["last"] < 0.8 * found["first"] and 1 < found["steps"] <= found["wanted_steps"]
    made = bench()
    classify(made, HalfUsed(), x=torch.zeros(8, 5), y=torch.arange(8) % 2)  # the same input for two labels
    found = made.probe(overfit_batch)
    assert found["last"] > math.log(2) - 0.05


def test_how_much_the_mode_matters(bench):
    made = bench()
    classify(made, classifier(nn.BatchNorm1d(8), nn.Dropout(0.5)))
    found = made.probe(mode_gap)
    assert found["modules"] == ["BatchNorm1d", "Dropout"] and found["train"] != found["eval"]
    made = bench()
    classify(made, classifier(nn.Dropout(0.0)))
    with pytest.raises(NotRun, match="no module"):
        made.probe(mode_gap)
