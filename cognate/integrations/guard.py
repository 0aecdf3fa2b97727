"""What keeps an adapter from harming the training that it looks at."""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

from cognate.errors import UsageError

LOG = logging.getLogger("cognate")
_Method = TypeVar("_Method", bound=Callable[..., Any])


@dataclass(frozen=True)
class Options:
    """What every adapter can be told.

    `folder`: where the case is written; default runs/SCRIPT-TIME. `every`: after how many logged rows the run is judged
    again. `stop_on="error"` asks the framework to stop a run that an error-level finding calls doomed.
    Raises UsageError where a value is none of these: a typo must not switch the stop off.
    """

    folder: str | Path | None = None
    every: int = 10
    stop_on: Literal["error"] | None = None

    def __post_init__(self) -> None:
        if self.stop_on not in (None, "error"):
            raise UsageError(f'stop_on is {self.stop_on!r}: say "error", or leave it out and nothing is stopped.')
        if not isinstance(self.every, int) or self.every < 1:
            raise UsageError(f"every is {self.every!r}: give the number of logged rows between judgements, 10 for example.")


def guarded(method: _Method) -> _Method:
    """A hook that never raises: the first error is one warning, and from then on this object's hooks do nothing."""

    @functools.wraps(method)
    def safe(self: Any, *args: Any, **kwargs: Any) -> Any:
        if getattr(self, "_broken", False):
            return None
        try:
            return method(self, *args, **kwargs)
        except Exception as error:
            self._broken = True
            LOG.warning("cognate: this run is not recorded any further (%s); the training goes on", said(error))
        return None

    return cast("_Method", safe)


def said(error: Exception) -> str:
    """`error` as a part of one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def observed() -> bool:
    """Whether this process runs under `cognate run`, which sees more than any adapter."""
    return "COGNATE_CASE" in os.environ or "cognate.observe.live.start" in sys.modules


def rank() -> int:
    """The rank of this process, 0 where there is only one."""
    group = _group()
    if group is not None:
        return int(group.get_rank())
    word = os.environ.get("RANK", "0")
    return int(word) if word.isdigit() else 0


def agreed(wish: bool, device: Any) -> bool:
    """What rank zero wishes, on every rank: one that stops alone would leave the others waiting for ever.

    All ranks must call it at the same moment. Without a process group it is `wish` itself.
    """
    group = _group()
    if group is None or group.get_world_size() == 1:
        return wish
    import torch

    answer = torch.tensor([int(wish)], device=device)
    group.broadcast(answer, 0)
    return bool(answer.item())


def _group() -> Any:
    """torch.distributed with its group started, else None; torch is never imported for it."""
    group = sys.modules.get("torch.distributed")
    return group if group is not None and group.is_available() and group.is_initialized() else None
