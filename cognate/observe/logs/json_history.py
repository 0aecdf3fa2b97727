"""A history in one JSON document: {"loss": [...], "val_loss": [...]} as Keras and scripts save it, or [{"loss": ...}, ...].

The lists may lie one level deeper: {"history": {...}}, {"train": {"loss": [...]}, "val": {...}}.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs.beside import settings_beside, title_of
from cognate.observe.logs.json_lines import numbers_in
from cognate.observe.logs.load import size_of
from cognate.observe.logs.origins import tells_of_training
from cognate.observe.logs.run import ForeignRun, number, printable
from cognate.observe.logs.table import Log, Record, run_of
from cognate.observe.logs.text import HEAD, head, pieces

FORMAT = "JSON history (lists by name, or a list of objects)"
GENERIC = True
_NAMES = ("history.json", "training_history.json", "history_metrics.json", "metrics.json", "results.json", "log.json")
# The document is held in memory as a whole. A history of a million numbers is a tenth of it.
_LARGEST = 256 << 20
_LIST_OF_NUMBERS = re.compile(r'"(?:[^"\\]|\\.){1,200}"\s*:\s*\[\s*(?:-?[\d.]|NaN|-?Infinity|null)')
_LIST_OF_OBJECTS = re.compile(r"\[\s*\{\s*\"")


def find(path: Path) -> Path | None:
    """The history that `path` is or holds."""
    if path.is_file():
        return path if _looks_right(path) else None
    if not path.is_dir():
        return None
    named = [path / name for name in _NAMES] + sorted(path.glob("*history*.json"))
    return next((file for file in named if file.is_file() and _looks_right(file)), None)


def read(file: Path) -> ForeignRun:
    """Read the history in `file`. Raises CaseError where it is damaged, too large or holds no series."""
    if size_of(file) > _LARGEST:
        raise CaseError(f"{file} is larger than 256 MB, too large for one JSON document: save the log as JSON lines or CSV.")
    log = Log(file, "JSON history", title_of(file), facts=settings_beside(file))
    raw = b"".join(pieces(file, log.losses))
    try:
        document = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise CaseError(f"{file} cannot be read as JSON ({error}); copy it again, it may be cut off.") from error
    return run_of(log, list(_records(document, log)))


def _looks_right(file: Path) -> bool:
    start = head(file)
    if start.lstrip()[:1] not in ("{", "[") or _is_a_document_a_line(start) or '"log_history"' in start[:HEAD]:
        return False
    if size_of(file) < HEAD:
        return _whole_is_right(start)
    # Only the beginning is looked at: a list of numbers under a name, or a list of objects, and names that tell of training.
    names = re.findall(r'"([^"\\]{1,200})"\s*:', start)
    shaped = _LIST_OF_NUMBERS.search(start) or _LIST_OF_OBJECTS.match(start.lstrip())
    return bool(shaped) and tells_of_training(list(dict.fromkeys(names))[:500])


def _is_a_document_a_line(text: str) -> bool:
    first, _, rest = text.lstrip().partition("\n")
    try:
        return bool(rest.strip()) and json.loads(first) is not None
    except (ValueError, RecursionError):
        return False


def _whole_is_right(text: str) -> bool:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        # Cut off: what is there may still say what it was, so that the reader can say what became of it.
        names = re.findall(r'"([^"\\]{1,200})"\s*:', text)
        return bool(_LIST_OF_NUMBERS.search(text)) and tells_of_training(names[:500])
    lists, objects = _lists(document), _objects(document)
    names = list(lists) if lists else [name for found in objects[:50] for name in numbers_in(found)]
    return bool(names) and tells_of_training(list(dict.fromkeys(names)))


def _lists(document: Any) -> dict[str, list[Any]]:
    """The lists of numbers by name, those one level deeper by joined names; a wrapping "history" is no part of the name."""
    found: dict[str, list[Any]] = {}
    if not isinstance(document, dict):
        return found
    for key, value in document.items():
        if _is_series(value):
            found[printable(key)] = value
        elif isinstance(value, dict):
            prefix = "" if re.fullmatch(r"history|metrics|log|logs|results", key.lower()) else f"{printable(key)}/"
            inner = {f"{prefix}{printable(name)}": series for name, series in value.items() if _is_series(series)}
            found.update({name: series for name, series in inner.items() if name not in found})
    return found


def _is_series(value: Any) -> bool:
    return isinstance(value, list) and any(_flat(item) is not None for item in value[:100])


def _flat(item: Any) -> float | None:
    """The number in `item`, also where it is written as text; None where that is something else."""
    if isinstance(item, str) and ("_" in item or len(item) > 40):
        return None
    finite, flag = number(item)
    return float(flag) if flag else finite


def _objects(document: Any) -> list[dict[str, Any]]:
    """The list of objects that `document` is, or holds under a name."""
    candidates = [document, *document.values()] if isinstance(document, dict) else [document]
    for value in candidates:
        if isinstance(value, list) and sum(isinstance(item, dict) for item in value) * 2 > len(value):
            return [item for item in value if isinstance(item, dict)]
    return []


def _records(document: Any, log: Log) -> Iterator[Record]:
    lists = _lists(document)
    if not lists:
        objects = _objects(document)
        for found in objects:
            record = numbers_in(found)
            if record:
                yield record
        return
    lengths = {len(series) for series in lists.values()}
    longest = max(lengths)
    if len(lengths) > 1:
        short = sorted(name for name, series in lists.items() if len(series) < longest)
        log.facts["shorter"] = {name: len(lists[name]) for name in short[:50]}
    odd = 0
    records: list[Record] = [{} for _ in range(longest)]
    for name, series in lists.items():
        # Validation once every so many entries: its values belong to the last of each.
        apart = longest // len(series) if longest % len(series) == 0 else 1
        for index, item in enumerate(series):
            value = _flat(item)
            if value is not None:
                records[(index + 1) * apart - 1][name] = value
            odd += value is None and item is not None
    yield from records
    log.losses.note("entries of lists left out that are no numbers", count=odd)
