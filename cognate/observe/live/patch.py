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
    wrapper = functools.wraps(original)(make(original))
    # torch.jit.script compiles the source of what it is given, and asks for it by this name.
    wrapper.__prepare_scriptable__ = lambda: original  # type: ignore[attr-defined]
    setattr(owner, name, wrapper)
    return True


def argument(args: tuple[Any, ...], kwargs: dict[str, Any], index: int, *names: str) -> Any:
    """The argument at position `index`, or given under one of `names`; None where there is none."""
    if index < len(args):
        return args[index]
    return next((kwargs[name] for name in names if name in kwargs), None)


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
