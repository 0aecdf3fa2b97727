"""Data sets and files of the Hugging Face hub: the local cache first, then the network with a short time limit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from cognate.errors import UsageError
from cognate.train.data.document import Record

Result = TypeVar("Result")
REACH_SECONDS = 5.0  # how long the hub may take to answer at all before it counts as out of reach
NAME = re.compile(r"hf:(?P<name>[^:@]+)(:(?P<config>[^@]+))?(@(?P<split>.+))?")
VALIDATION = ("validation", "valid", "val", "dev", "test")  # in the order of preference


@dataclass
class Parts:
    """The rows of a hub data set by part."""

    train: Iterable[Record]
    validation: Iterable[Record] | None
    facts: dict[str, Any] = field(default_factory=dict)


def parts(source: str) -> Parts:
    """The parts of `hf:NAME`, `hf:NAME:CONFIG`, either with `@SPLIT` for one split alone. NAME may be a local folder.

    Raises UsageError where the name is malformed, the data set is neither cached nor within reach, or the split is not there.
    """
    match = NAME.fullmatch(source)
    if match is None:
        raise UsageError(f"{source} names no data set: write hf:NAME, hf:NAME:CONFIG or hf:NAME@SPLIT.")
    name, config, split = match["name"], match["config"], match["split"]
    splits = _load(name, config)
    train = split or "train"
    if train not in splits:
        raise UsageError(f"{source} has no split {train!r} (it has {', '.join(splits)}): choose one with hf:{name}@SPLIT.")
    validation = None if split else next((part for part in VALIDATION if part in splits), None)
    facts: dict[str, Any] = {"split": train} | ({"validation_split": validation} if validation else {})
    return Parts(
        _records(f"{source}@{train}" if not split else source, splits[train]),
        None if validation is None else _records(f"{source}@{validation}", splits[validation]),
        facts,
    )


def file(name: str, filename: str) -> str:
    """The local path of a file of the model repository `name`. Raises UsageError where it is neither cached nor within reach."""
    import huggingface_hub
    from huggingface_hub import constants

    return _cached_first(
        lambda: huggingface_hub.hf_hub_download(name, filename),
        lambda: huggingface_hub.HfApi().model_info(name, timeout=REACH_SECONDS),
        f"The {filename} of {name}",
        constants.HF_HUB_CACHE,
    )


def _load(name: str, config: str | None) -> dict[str, Any]:
    import datasets
    import huggingface_hub

    verbosity = datasets.logging.get_verbosity()
    datasets.logging.set_verbosity_error()  # that the cache is in use is what was asked for, and no warning
    try:
        return _cached_first(
            lambda: datasets.load_dataset(name, config),
            lambda: huggingface_hub.HfApi().dataset_info(name, timeout=REACH_SECONDS),
            f"The data set {name}",
            str(datasets.config.HF_DATASETS_CACHE),
        )
    finally:
        datasets.logging.set_verbosity(verbosity)


def _cached_first(fetch: Callable[[], Result], reach: Callable[[], object], what: str, cache: str) -> Result:
    """`fetch` from the cache, then, where the hub answers `reach`, from the network.

    The libraries raise errors of many families (their own, the HTTP client's, the file system's): each ends as one sentence.
    """
    from huggingface_hub import constants

    offline = constants.is_offline_mode()
    try:
        with _offline():
            return fetch()
    except Exception as error:
        missing = error
    if offline or _datasets_offline():
        raise UsageError(
            f"{what} is not in the local cache ({cache}) and offline mode is set: unset HF_HUB_OFFLINE and "
            f"HF_DATASETS_OFFLINE, or copy it there, or give a file instead ({_first_line(missing)})."
        ) from missing
    try:
        reach()
        return fetch()
    except Exception as error:
        raise UsageError(
            f"{what} is not in the local cache ({cache}) and could not be fetched from {constants.ENDPOINT}: "
            f"check the name and the network, copy it into the cache, or give a file instead ({_first_line(error)})."
        ) from error


def _datasets_offline() -> bool:
    from datasets import config

    return bool(config.HF_HUB_OFFLINE)


@contextmanager
def _offline() -> Iterator[None]:
    """Both libraries in offline mode, which they read from these variables at every request."""
    from datasets import config
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, config.HF_HUB_OFFLINE = before


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].rstrip('.')[:200]}" if lines else type(error).__name__


def _records(source: str, rows: Iterable[Any]) -> Iterator[Record]:
    for number, row in enumerate(rows, 1):
        yield Record(f"{source}: row {number}", row)
