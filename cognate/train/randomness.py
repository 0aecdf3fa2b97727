"""The states of the random generators that training draws from, as text."""

from __future__ import annotations

import base64
import random
import sys
from typing import Any

import torch


def seed(value: int, rank: int = 0) -> None:
    """Seed Python, numpy (where imported) and torch. Each process draws other numbers, or their dropout would be the same."""
    value = (value + 7_919 * rank) % 2**32  # a prime, so that run seeds in a row do not meet each other's ranks
    random.seed(value)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(value)
    torch.manual_seed(value)


def capture(device: torch.device) -> dict[str, Any]:
    """All states, JSON-able. `restore` makes every generator go on exactly where it is now."""
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {"python": [version, list(internal), gauss], "torch": _text(torch.get_rng_state())}
    if "numpy" in sys.modules:
        numpy = sys.modules["numpy"].random.get_state(legacy=False)
        inner = {"key": numpy["state"]["key"].tolist(), "pos": int(numpy["state"]["pos"])}
        state["numpy"] = {
            "bit_generator": numpy["bit_generator"],
            "state": inner,
            "has_gauss": int(numpy["has_gauss"]),
            "gauss": float(numpy["gauss"]),
        }
    if device.type == "cuda":
        state["cuda"] = _text(torch.cuda.get_rng_state(device))
    return state


def restore(state: dict[str, Any], device: torch.device) -> None:
    """Put every generator where `capture` found it. One that was not captured is left alone."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    torch.set_rng_state(_bytes(state["torch"]))
    if "numpy" in state and "numpy" in sys.modules:
        numpy = sys.modules["numpy"]
        inner = {"key": numpy.array(state["numpy"]["state"]["key"], dtype=numpy.uint32), "pos": state["numpy"]["state"]["pos"]}
        numpy.random.set_state({**state["numpy"], "state": inner})
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(_bytes(state["cuda"]), device)


def _text(state: torch.Tensor) -> str:
    return base64.b64encode(bytes(state.tolist())).decode("ascii")


def _bytes(text: str) -> torch.Tensor:
    return torch.tensor(list(base64.b64decode(text)), dtype=torch.uint8)
