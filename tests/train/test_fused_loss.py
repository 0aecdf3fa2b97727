"""The fused head and cross-entropy equal the plain ones, in value and in every gradient."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cognate.train import fused_loss
from cognate.train.fused_loss import linear_cross_entropy


def sample(rows: int, vocabulary: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, 16, generator=generator).requires_grad_(),
        (torch.randn(vocabulary, 16, generator=generator) * 0.1).requires_grad_(),
        torch.randint(vocabulary, (rows,), generator=generator),
        torch.rand(rows, generator=generator).requires_grad_(),
    )


def exact(inputs: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, ...]:
    """Value and gradients by the plain computation in float64."""
    features, weight, targets, coefficients = inputs
    wide = [part.detach().double().requires_grad_() for part in (features, weight, coefficients)]
    total = plain(wide[0], wide[1], targets, wide[2])
    return total.float(), *(gradient.float() for gradient in torch.autograd.grad(total, wide))


def plain(features: Tensor, weight: Tensor, targets: Tensor, coefficients: Tensor) -> Tensor:
    return (F.cross_entropy(F.linear(features, weight), targets, reduction="none") * coefficients).sum()


def relative(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).abs().max() / expected.abs().max()).item()


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 50),
    vocabulary=st.sampled_from([2, 7, 300, 2500]),
    chunk=st.sampled_from([1, 997, 4096, 2**24]),
    seed=st.integers(0, 99),
)
def test_value_and_gradients_equal_the_plain_computation(rows: int, vocabulary: int, chunk: int, seed: int) -> None:
    inputs = sample(rows, vocabulary, seed)
    expected, *wanted = exact(inputs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused_loss, "CHUNK_ELEMENTS", chunk)
        total, losses = linear_cross_entropy(*inputs)
    # What comes from above scales the gradients.
    found = torch.autograd.grad(2 * total, (inputs[0], inputs[1], inputs[3]))
    torch.testing.assert_close(total, expected)
    torch.testing.assert_close(losses, wanted[2])
    for got, want in zip(found, wanted, strict=True):
        torch.testing.assert_close(got / 2, want, atol=1e-6, rtol=1e-6)


def test_a_large_vocabulary_and_extreme_logits_stay_exact() -> None:
    features, weight, targets, coefficients = sample(40, 50_257, 0)
    features = (features.detach() * 100).requires_grad_()
    expected, *wanted = exact((features, weight, targets, coefficients))
    total, _ = linear_cross_entropy(features, weight, targets, coefficients)
    torch.testing.assert_close(total, expected, rtol=1e-6, atol=0)
    found = torch.autograd.grad(total, (features, weight))
    usual = torch.autograd.grad(plain(features, weight, targets, coefficients), (features, weight))
    for got, theirs, want in zip(found, usual, wanted, strict=False):
        assert relative(got, want) <= max(1e-6, 2 * relative(theirs, want))


def test_bfloat16_products_lose_no_more_than_bfloat16_does() -> None:
    inputs = sample(64, 300, 1)
    _, *wanted = exact(inputs)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total, losses = linear_cross_entropy(*inputs)
        usual = plain(*inputs)
    assert losses.dtype is torch.float32
    fused = torch.autograd.grad(total, inputs[:2])
    in_half = torch.autograd.grad(usual, inputs[:2])
    for ours, theirs, want in zip(fused, in_half, wanted, strict=False):
        error = ((ours - want).norm() / want.norm()).item()
        assert 0 < error < 0.01
        assert error <= 1.1 * ((theirs - want).norm() / want.norm()).item()


def test_without_gradient_no_gradient_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = sample(8, 300, 2)
    monkeypatch.setattr(Tensor, "addmm_", None)  # the gradient of the head would be summed by it
    with torch.no_grad():
        total, losses = linear_cross_entropy(*inputs)
    assert not total.requires_grad
    torch.testing.assert_close(total, (losses * inputs[3].detach()).sum())
