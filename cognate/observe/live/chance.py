"""Where random numbers come from: torch's own generator, and those that a data set carries with it.

The latter are copied with the data set into every data-loader worker, state and all.
"""

from __future__ import annotations

import random
import sys
import zlib
from collections.abc import Iterator
from types import CodeType
from typing import Any

import torch

from cognate.observe.live.sites import Sites

# Objects of first-party classes that hang on a data set are followed this deep: a transform, and what it composes.
DEEPEST = 3
MOST_OBJECTS = 64


def state_of(device: torch.device) -> int:
    """A checksum of the generator that random numbers on `device` are drawn from; reading it moves nothing."""
    state = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
    return zlib.crc32(bytes(state.tolist()))


def fresh_state(seed: int) -> int:
    """The checksum of the processor's generator when it has just been seeded."""
    return zlib.crc32(bytes(torch.Generator().manual_seed(seed).get_state().tolist()))


def generators(dataset: Any, sites: Sites) -> dict[str, dict[str, Any]]:
    """The generators that `dataset` or its parts hold, by dotted path: `cls` of the holder, `kind`, a hash of the `state`.

    A generator that is a global of a first-party class's module, and named in one of its methods, has the path `global NAME`.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, holder in _objects(dataset, sites):
        for name, value in _attributes(holder).items():
            state = _state(value)
            if state is not None:
                found[f"{path}{name}"] = {"cls": type(holder).__name__, "attribute": name, **state}
        module = sys.modules.get(type(holder).__module__)
        for name in _names(type(holder)):
            state = _state(getattr(module, name, None))
            if state is not None:
                found[f"global {name}"] = {"cls": type(holder).__name__, "attribute": name, **state}
    return found


def _objects(dataset: Any, sites: Sites) -> Iterator[tuple[str, Any]]:
    """The data set and the first-party objects that hang on it, with their paths; library containers are looked through."""
    waiting: list[tuple[str, Any, int]] = [("", dataset, 0)]
    seen: set[int] = set()
    while waiting and len(seen) < MOST_OBJECTS:
        path, item, depth = waiting.pop(0)
        if id(item) in seen:
            continue
        seen.add(id(item))
        if _first_party(type(item), sites):
            yield path, item
        if depth >= DEEPEST:
            continue
        for name, value in _attributes(item).items():
            for part in value[:16] if isinstance(value, (list, tuple)) else (value,):
                holds_more = hasattr(part, "__dict__") and not isinstance(part, (type, torch.Tensor, type(sys)))
                if holds_more and type(part).__module__ not in ("builtins", "numpy", "pandas"):
                    waiting.append((f"{path}{name}.", part, depth + 1))


def _attributes(item: Any) -> dict[str, Any]:
    try:
        return dict(vars(item))
    except TypeError:
        return {}


def _first_party(cls: type, sites: Sites) -> bool:
    return any(sites.first_party(code.co_filename) is not None for code in _codes(cls))


def _codes(cls: type) -> Iterator[CodeType]:
    for value in vars(cls).values():
        code = getattr(getattr(value, "__func__", value), "__code__", None)
        if isinstance(code, CodeType):
            yield code


def _names(cls: type) -> set[str]:
    """The global names that the methods of `cls` use."""
    return {name for code in _codes(cls) if code.co_name != "__init__" for name in code.co_names}


def _state(value: Any) -> dict[str, Any] | None:
    """The kind of the generator `value` and a hash of its state, read without drawing from it; None for anything else."""
    numpy = sys.modules.get("numpy")
    if isinstance(value, torch.Generator):
        return {"kind": "torch.Generator", "state": zlib.crc32(bytes(value.get_state().tolist()))}
    if isinstance(value, random.Random):
        return {"kind": "random.Random", "state": zlib.crc32(repr(value.getstate()).encode())}
    # Whatever numpy is, without importing it for the user: a partly imported one lacks `random`.
    kinds = getattr(numpy, "random", None) if numpy is not None else None
    if kinds is not None and isinstance(value, kinds.Generator):
        return {"kind": "numpy Generator", "state": zlib.crc32(repr(value.bit_generator.state).encode())}
    if kinds is not None and isinstance(value, kinds.RandomState):
        return {"kind": "numpy RandomState", "state": zlib.crc32(repr(value.get_state()).encode())}
    return None
