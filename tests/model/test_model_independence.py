"""A token's output depends on the earlier tokens of its own document and on nothing else: what the seed's model got wrong."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cognate.errors import UsageError
from cognate.model.config import preset
from cognate.model.model import CognateModel

WINDOW = 24  # shorter than the sequences here, so that the sliding window is at work
LENGTH = 40


def model_of(name: str, dtype: torch.dtype = torch.float32) -> CognateModel:
    return CognateModel(preset(name, None, window=WINDOW)).to(dtype)


def tokens_for(model: CognateModel, rows: int = 2, seed: int = 0) -> Tensor:
    return torch.randint(model.config.vocabulary, (rows, LENGTH), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["tiny", "small", "phase1"])
def test_later_tokens_and_neighbours_change_nothing(name: str, dtype: torch.dtype, training: bool) -> None:
    model = model_of(name, dtype).train(training)
    tokens = tokens_for(model)
    at = LENGTH // 2
    changed = tokens.clone()
    changed[:, at:] = (changed[:, at:] + 7) % model.config.vocabulary
    neighbour = tokens.clone()
    neighbour[1] = (neighbour[1] + 3) % model.config.vocabulary
    with torch.no_grad():
        plain, later, beside = model(tokens), model(changed), model(neighbour)
    assert torch.equal(plain.answers[:, :, :at], later.answers[:, :, :at])
    assert torch.equal(plain.halting[:, :at], later.halting[:, :at])
    assert not torch.equal(plain.answers[:, :, at], later.answers[:, :, at])
    assert torch.equal(plain.answers[:, 0], beside.answers[:, 0])
    assert torch.equal(plain.halting[0], beside.halting[0])


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_inference_with_early_exit_is_causal_too(name: str) -> None:
    model = model_of(name).eval()
    tokens = tokens_for(model)
    changed = tokens.clone()
    changed[:, LENGTH // 2 :] = (changed[:, LENGTH // 2 :] + 7) % model.config.vocabulary
    plain, later = model.decide(tokens), model.decide(changed)
    torch.testing.assert_close(plain.logits[:, : LENGTH // 2], later.logits[:, : LENGTH // 2])
    assert torch.equal(plain.answers_used[:, : LENGTH // 2], later.answers_used[:, : LENGTH // 2])


def test_no_gradient_reaches_a_later_token() -> None:
    model = model_of("tiny")
    embedded: list[Tensor] = []
    model.backbone.token_embedding.register_forward_hook(lambda *call: embedded.append(call[2]))
    tokens = tokens_for(model, rows=1)
    thought = model(tokens)
    (gradient,) = torch.autograd.grad(thought.answers[:, 0, 10].sum() + thought.halting[0, 10].sum(), embedded[0])
    assert gradient[0, 11:].abs().max() == 0
    assert gradient[0, 10].abs().max() > 0


def test_what_was_seen_before_changes_nothing() -> None:
    model = model_of("tiny").eval()
    tokens = tokens_for(model)
    with torch.no_grad():
        first = model(tokens)
        model(tokens_for(model, seed=5))
        again = model(tokens)
    assert torch.equal(first.answers, again.answers)
    assert not [name for name, _ in model.named_buffers()]


def test_training_and_evaluation_mode_compute_the_same() -> None:
    model = model_of("tiny")
    tokens = tokens_for(model)
    with torch.no_grad():
        assert torch.equal(model.train()(tokens).answers, model.eval()(tokens).answers)


def test_a_token_sees_no_further_than_its_window() -> None:
    # Without memory, and with one layer, nothing carries the past beyond the window but the refiner's own looks.
    model = CognateModel(preset("tiny", None, window=4, layers=1, steps=1, micro_steps=1, supervision=(1.0, 1.0)))
    torch.nn.init.zeros_(model.memory.read.weight)
    tokens = tokens_for(model, rows=1)
    changed = tokens.clone()
    changed[0, 5] = (changed[0, 5] + 1) % model.config.vocabulary
    with torch.no_grad():
        moved = (model(tokens).answers - model(changed).answers).abs().amax((0, 1, 3))
    reach = 3 * 3  # three looks (layer, features, answers) of three tokens back each
    assert moved[5] > 0
    assert (moved[6 : 6 + reach] > 0).any()
    assert moved[5 + reach + 1 :].max() == 0


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(1, 20), min_size=1, max_size=4), seed=st.integers(0, 99))
def test_packed_documents_do_not_see_each_other(lengths: list[int], seed: int) -> None:
    model = model_of("tiny").eval()
    generator = torch.Generator().manual_seed(seed)
    documents = [torch.randint(model.config.vocabulary, (1, length), generator=generator) for length in lengths]
    numbers = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))[None]
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    with torch.no_grad():
        packed = model(torch.cat(documents, 1), positions, numbers)
        alone = [model(document) for document in documents]
    torch.testing.assert_close(packed.answers, torch.cat([thought.answers for thought in alone], 2), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed.halting, torch.cat([thought.halting for thought in alone], 1), atol=1e-5, rtol=1e-5)


def test_a_sequence_that_is_too_long_is_one_sentence() -> None:
    model = CognateModel(preset("tiny", None, positions=8))
    with pytest.raises(UsageError, match="9 tokens does not fit the model's 8 positions"):
        model(torch.zeros(1, 9, dtype=torch.long))


@pytest.mark.filterwarnings("ignore:flex_attention called without")
def test_flex_attention_sees_what_the_mask_shows() -> None:
    from torch.nn.attention.flex_attention import flex_attention

    from cognate.model.attention import block_mask, visibility

    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, 2, 128, 16, generator=generator) for _ in range(3))
    documents = torch.arange(128)[None].expand(2, -1) // 50
    for numbers in (None, documents):
        mask = visibility(128, 20, numbers, torch.device("cpu")).mask
        block = block_mask(128, 20, numbers, torch.device("cpu"))
        plain = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        torch.testing.assert_close(flex_attention(query, key, value, block_mask=block), plain, atol=1e-5, rtol=1e-5)
