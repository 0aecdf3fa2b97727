"""One JSON object a line: LLaMA-Factory, detectron2, DETR-style log.txt, Ray Tune result.json, progress.json, any JSONL."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cognate.errors import CaseError
from cognate.observe.logs.beside import settings_beside, title_of
from cognate.observe.logs.cells import seconds
from cognate.observe.logs.load import load
from cognate.observe.logs.origins import tells_of_training, tool
from cognate.observe.logs.roles import assign, named_by_hand
from cognate.observe.logs.run import ForeignRun, printable
from cognate.observe.logs.table import Log, Record
from cognate.observe.logs.text import LONGEST_LINE, Losses, head, lines_of

FORMAT = "JSON lines (LLaMA-Factory, detectron2, DETR-style log.txt, Ray Tune, any JSONL)"
GENERIC = True
_NAMES = ("trainer_log.jsonl", "metrics.jsonl", "metrics.json", "result.json", "progress.json", "log.txt", "log.jsonl")
_SAMPLE = 100
# With more names than this polars gains nothing.
_MOST_QUICK = 300
# Deeper than any tool nests its metrics; "info/learner/default_policy/learner_stats/loss" has five levels.
_DEPTH = 6
# Python writes these words for what JSON has no word for. As numbers that no log has they pass through a strict parser.
_WORDS = {b"NaN": b"1.4021567803e-301", b"Infinity": b"1.4021567803e-302", b"-Infinity": b"-1.4021567803e-302"}


def find(path: Path) -> Path | None:
    """The file of JSON lines that `path` is or holds."""
    if path.is_file():
        return path if _names_in(head(path)) is not None else None
    if not path.is_dir():
        return None
    named = [path / name for name in _NAMES] + sorted([*path.glob("*.jsonl"), *path.glob("*.ndjson")])
    return next((file for file in named if file.is_file() and _names_in(head(file)) is not None), None)


def read(file: Path) -> ForeignRun:
    """Read the objects in `file`. Raises CaseError where it cannot be read or holds no number."""
    names = _names_in(head(file))
    if names is None:
        raise CaseError(f"{file} has no objects with the numbers of a training run: give its log.")
    origin = tool(names, file) or "JSON lines"
    log = Log(file, origin, title_of(file), facts=settings_beside(file))
    return load(log, ObjectParser(log.losses))


def _names_in(text: str) -> list[str] | None:
    """The names in the first objects, where most lines of `text` are objects that tell of training; else None."""
    lines = [line for line in text.split("\n") if line.strip()][:_SAMPLE]
    objects = [found for found in map(_object, lines) if found is not None]
    names = list(dict.fromkeys(name for found in objects for name in numbers_in(found)))
    # A single line may as well be a file of settings, which have a rate and a number of epochs but no loss.
    if len(objects) == 1 and not {"loss", "val_loss"} & set(assign(names).values()) and not named_by_hand(names):
        return None
    if not names or 2 * len(objects) < len(lines) or not tells_of_training(names):
        return None
    return names


def _object(line: str) -> dict[str, Any] | None:
    if not line.lstrip().startswith("{") or len(line) > LONGEST_LINE:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def numbers_in(found: dict[str, Any], prefix: str = "", depth: int = _DEPTH) -> Record:
    """The numbers in an object, those in objects within it by joined names ("eval/loss")."""
    record: Record = {}
    for key, value in found.items():
        if isinstance(value, dict):
            if depth:
                record.update(numbers_in(value, f"{prefix}{key}/", depth - 1))
            continue
        number = _number(value, key)
        if number is not None:
            record[printable(prefix + key) or "unnamed"] = number
    return record


def _number(value: Any, key: str) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, (int, float)):
        try:
            return float(value)
        except OverflowError:
            return float("inf") if value > 0 else float("-inf")
    if isinstance(value, str) and 0 < len(value) < 40:
        try:
            return float(value) if "_" not in value else None
        except ValueError:
            return seconds(value) if "time" in key or "elapsed" in key else None
    return None


class ObjectParser:
    """Reads pieces of JSON lines."""

    def __init__(self, losses: Losses) -> None:
        self._losses = losses
        self._line = 0
        self._schema: dict[str, Any] = {}

    def records(self, piece: bytes, last: bool) -> Iterator[Record]:
        """The numbers of each object in `piece`."""
        for line, torn in lines_of(piece, last):
            self._line += 1
            if not line.strip():
                continue
            found = _object(line)
            if found is None:
                self._losses.line("are cut off at the end" if torn else "are no JSON objects", self._line)
                continue
            record = numbers_in(found)
            if record:
                yield record

    def frame(self, piece: bytes) -> Any:
        """`piece` as a polars frame; None where it holds more than objects of plain numbers."""
        if not piece.endswith(b"\n") or b"\n\n" in piece:
            return None
        strict, bare = piece, [word for word in (b"NaN", b"Infinity") if word in piece]
        for word in _WORDS:
            if word.strip(b"-") in bare:
                strict = strict.replace(b": " + word, b": " + _WORDS[word]).replace(b":" + word, b":" + _WORDS[word])
        raw = self._read(strict, piece.count(b"\n"))
        if raw is None:
            return None
        self._line += raw.height
        return raw.with_columns(_restored(name) for name in raw.columns) if bare else raw

    def _read(self, strict: bytes, lines: int) -> Any:
        """The objects in `strict` as floats, None where polars would lose something of them."""
        import polars as pl

        # Names are looked up in some lines: left to find them itself, polars makes a column of every name that ever occurs.
        self._schema.update(dict.fromkeys(_names_among(strict), pl.Float64))
        if not self._schema or len(self._schema) > _MOST_QUICK:
            return None
        try:
            raw = pl.read_ndjson(io.BytesIO(strict), schema=self._schema)
        except (pl.exceptions.PolarsError, RuntimeError, ValueError):  # older ones raise a RuntimeError for a bad number
            return None
        told = raw.select(pl.sum_horizontal(pl.all().is_not_null().sum())).item()
        whole = raw.height == lines and told + strict.count(b"null") == strict.count(b'":')
        return raw.select(name for name in raw.columns if raw[name].null_count() < lines) if whole else None

    def close(self) -> None:
        """Nothing is left to count."""


def _names_among(piece: bytes) -> list[str]:
    """The names in lines taken all over `piece`, where each of them is an object of plain numbers; else none."""
    names: dict[str, None] = {}
    for part in range(_SAMPLE):
        start = piece.rfind(b"\n", 0, len(piece) * part // _SAMPLE) + 1
        found = _object(piece[start : piece.find(b"\n", start)].decode("utf-8", "replace"))
        if found is None or any(
            isinstance(value, (str, bool, dict, list)) or printable(name) != name for name, value in found.items()
        ):
            return []
        names.update(dict.fromkeys(found))
    return list(names)


def _restored(name: str) -> Any:
    import polars as pl

    column = pl.col(name)
    nan, inf, negative = (float(word) for word in _WORDS.values())
    return (
        pl.when(column == nan)
        .then(float("nan"))
        .when(column == inf)
        .then(float("inf"))
        .when(column == negative)
        .then(float("-inf"))
        .otherwise(column)
        .alias(name)
    )
