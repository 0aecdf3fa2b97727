"""The memory is a scan over time without a loop, and keeps nothing between sequences."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cognate.model.memory import Memory, fading_sum


def by_loop(x: Tensor, decay: float, documents: Tensor | None, state: Tensor | None) -> Tensor:
    """The recurrence, one token after the other."""
    rows = []
    for row in range(x.shape[0]):
        trace = torch.zeros(x.shape[2], dtype=torch.float64) if state is None else state[row].double()
        steps = []
        for t in range(x.shape[1]):
            new = documents is not None and t > 0 and bool(documents[row, t] != documents[row, t - 1])
            trace = (0 if new else decay) * trace + x[row, t].double()
            steps.append(trace)
        rows.append(torch.stack(steps))
    return torch.stack(rows)


@settings(max_examples=40, deadline=None)
@given(
    tokens=st.integers(1, 140),
    decay=st.floats(0.0, 0.9999),
    kind=st.sampled_from(["fresh", "state", "documents"]),
    seed=st.integers(0, 999),
)
def test_the_scan_equals_the_loop(tokens: int, decay: float, kind: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, tokens, 3, generator=generator) * (1 - decay)
    state = torch.randn(2, 3, generator=generator) if kind == "state" else None
    documents = torch.randint(0, 2, (2, tokens), generator=generator).cumsum(1) if kind == "documents" else None
    found = fading_sum(x, decay, documents, state)
    torch.testing.assert_close(found.double(), by_loop(x, decay, documents, state), atol=1e-5, rtol=1e-5)


def test_gradients_of_the_scan_equal_those_of_the_loop() -> None:
    x = torch.randn(1, 70, 2, requires_grad=True)
    weights = torch.randn(1, 70, 2)
    (by_scan,) = torch.autograd.grad((fading_sum(x, 0.97) * weights).sum(), x)
    (one_by_one,) = torch.autograd.grad((by_loop(x, 0.97, None, None) * weights).sum(), x)
    torch.testing.assert_close(by_scan, one_by_one, atol=1e-5, rtol=1e-4)


@settings(max_examples=20, deadline=None)
@given(cut=st.integers(1, 69))
def test_the_state_continues_a_sequence(cut: int) -> None:
    memory = Memory(8, 4, horizon=20.0)
    h = torch.randn(2, 70, 8, generator=torch.Generator().manual_seed(cut))
    with torch.no_grad():
        whole, last = memory(h)
        first, state = memory(h[:, :cut])
        second, end = memory(h[:, cut:], state=state)
    torch.testing.assert_close(torch.cat((first, second), 1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(end, last, atol=1e-5, rtol=1e-5)


def test_an_event_fades_to_one_in_e_after_the_horizon() -> None:
    memory = Memory(8, 4, horizon=50.0)
    x = torch.zeros(1, 101, 1)
    x[0, 0] = 1
    trace = fading_sum(x, memory.decay)
    assert abs(trace[0, 50].item() - 0.367879) < 1e-5
    assert abs(trace[0, 100].item() - 0.135335) < 1e-5


def test_half_precision_does_not_shorten_the_memory() -> None:
    x = torch.zeros(1, 1000, 1, dtype=torch.bfloat16)
    x[0, 0] = 1
    with torch.autocast("cpu", dtype=torch.bfloat16):
        trace = fading_sum(x, 0.999)
    assert abs(trace[0, -1].item() - 0.999**999) < 1e-4
