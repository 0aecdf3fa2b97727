"""Replacing a function of a library by one that also observes, in a way that callers cannot tell."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> bool:
    """Replace `owner.name` by `make(original)` under the original's name and documentation; False where it is absent."""
    original = owner.__dict__.get(name) if isinstance(owner, type) else getattr(owner, name, None)
    if original is None or not callable(original):
        return False
    setattr(owner, name, functools.wraps(original)(make(original)))
    return True


def before_and_after(
    before: Callable[..., Any] | None = None, after: Callable[..., Any] | None = None
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Make a wrapper that calls `before(*args, **kwargs)` and `after(result, *args, **kwargs)`; both must not raise."""

    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if before is not None:
                before(*args, **kwargs)
            result = original(*args, **kwargs)
            if after is not None:
                after(result, *args, **kwargs)
            return result

        return observed

    return make
