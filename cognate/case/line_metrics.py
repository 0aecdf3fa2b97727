"""What one printed line tells: its counters, and its metrics with their roles. A run's prints and foreign logs share it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from cognate.case.lines import Reading, clean, scan

Role = Literal["train_loss", "val_loss", "val_metric", "train_metric", "lr"]

_VAL = {
    "val",
    "valid",
    "validation",
    "validate",
    "eval",
    "evaluation",
    "test",
    "testing",
    "dev",
    "heldout",
    "held",
    "vl",
}
_TRAIN = {"train", "training", "trn", "tr"}
_LOSS = {"loss", "nll", "ce", "bce", "mse", "xent", "crossentropy", "objective", "losses"}
_METRIC = {
    *("acc", "accuracy", "top1", "top5", "f1", "auc", "auroc", "precision", "recall", "iou", "miou", "map", "dice"),
    *("ppl", "perplexity", "bleu", "rouge", "wer", "cer", "mae", "rmse", "r2", "bpc", "bpb", "psnr", "ssim", "mcc"),
}
_NAMES = {"accuracy": "acc", "perplexity": "ppl", "losses": "loss"}
_EPOCH = {"epoch", "epochs", "ep", "episode"}
_STEP = {"step", "iter", "iteration", "it", "batch", "global_step", "update", "itr", "iters", "updates"}
BARE = ("train", "val", "test")  # names that only say which data: "train 0.41 val 0.52"
# Words that add nothing to the name of a metric.
_FILLER = {
    *("avg", "average", "mean", "running", "total", "the", "is", "was", "of", "at", "on", "for", "set", "split", "now"),
    *(
        "epoch",
        "step",
        "current",
        "final",
        "overall",
        "data",
        "score",
        "held",
        "out",
        "in",
        "and",
        "with",
        "got",
        "stopped",
    ),
    *("after", "epochs", "then", "finished", "done", "global", "iter", "mini", "batch"),
}
# A best-so-far stands still by design; a weight, a size or an interval is a setting, whatever word stands beside it.
_SETTING = {
    *(
        "best",
        "min",
        "max",
        "minimum",
        "maximum",
        "lowest",
        "highest",
        "improve",
        "improved",
        "patience",
        "target",
        "prev",
    ),
    *(
        "previous",
        "threshold",
        "weight",
        "scale",
        "size",
        "samples",
        "examples",
        "batches",
        "every",
        "interval",
        "smoothing",
    ),
    *(
        "ratio",
        "frac",
        "fraction",
        "seed",
        "params",
        "parameters",
        "steps",
        "time",
        "runtime",
        "per",
        "seconds",
        "baseline",
    ),
    *(
        "reduction",
        "delta",
        "tokens",
        "dataset",
        "images",
        "items",
        "len",
        "length",
        "expected",
        "init",
        "memory",
        "count",
    ),
}


@dataclass(frozen=True)
class PrintedMetric:
    """A metric in one line: its value (None where NaN or infinite) and the text that stood there."""

    name: str
    role: Role | None
    text: str
    value: float | None
    start: int = -1  # where its text begins in the cleaned line; -1 in a dictionary


@dataclass
class PrintedLine:
    """What one printed line tells: the counters, with their totals where it says "3/10", and the metrics."""

    text: str
    phase: str = ""
    epoch: float | None = None
    epochs: float | None = None
    step: float | None = None
    steps: float | None = None
    epoch_at: int = -1  # where its text begins, as in PrintedMetric
    step_at: int = -1
    metrics: list[PrintedMetric] = field(default_factory=list)


@dataclass(frozen=True)
class _Named:
    name: str
    role: Role | None
    split: str  # train | val | test | ""


def read_line(text: str) -> PrintedLine:
    """The counters and metrics that one printed line tells; the reader of foreign logs shares it. Never raises."""
    text = clean(text)
    tag, readings = scan(text)
    if len(readings) > 200:
        return PrintedLine(text)
    head = text.partition(":")
    # An underscore or slash marks a complete name, such as val_loss: it says nothing about its neighbours.
    header = _split_of(_words(head[0])) if head[1] and not re.search(r"[_/{]", head[0]) else ""
    split = _split_of(_words(tag)) or header
    line = PrintedLine(text, phase="" if _split_of(_words(tag)) else tag)
    counted = [_counter(_words(reading.label), reading, index) for index, reading in enumerate(readings)]
    if counted[:2] == ["step", "step"] and readings[1].total and not readings[0].label and not readings[1].label:
        counted[0] = "epoch"  # "[3/25][200/1583]"
    for kind, reading in zip(reversed(counted), reversed(readings), strict=True):
        if kind == "epoch":
            line.epoch, line.epochs, line.epoch_at = reading.value, reading.total, reading.start
        elif kind:
            line.step, line.steps, line.step_at = reading.value, reading.total, reading.start
    noun = ""
    taken: set[str] = set()
    summary = "train_runtime" in text
    for kind, reading in zip(counted, readings, strict=True):
        words = _words(reading.label)
        if kind:
            split = split or _split_of(words)
        elif words:
            named = _named(words, split, noun, taken)
            if named.name in taken and named.split == "train" and not _noun(words):
                # "loss 0.4 train 0.91 test 0.88": the loss is told already, so what is bare here is something else.
                noun = ""
                named = _named(words, split, noun, taken)
            if not re.search(r"[_/]", reading.label):
                split = named.split or split
            noun = _noun(words) or noun
            if named.name in taken or (summary and named.role == "train_loss"):
                continue
            taken.add(named.name)
            line.metrics.append(PrintedMetric(named.name, named.role, reading.text, _value(named, reading), reading.start))
    return line


def _value(named: _Named, reading: Reading) -> float | None:
    if reading.total and reading.value is not None and named.role in ("val_metric", "train_metric"):
        return reading.value / reading.total
    return reading.value


@lru_cache(maxsize=4096)
def _words(label: str) -> tuple[str, ...]:
    apart = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", label[-80:]).lower()
    return tuple(word for word in re.split(r"[^a-z0-9]+", apart) if word)


def _split_of(words: Iterable[str]) -> str:
    for word in words:
        if word in _VAL:
            return "test" if word in ("test", "testing") else "val"
        if word in _TRAIN:
            return "train"
    return ""


def _noun(words: tuple[str, ...]) -> str:
    return next((_NAMES.get(word, word) for word in reversed(words) if word in _LOSS or word in _METRIC), "")


def _counter(words: tuple[str, ...], reading: Reading, index: int) -> str:
    rest = [word for word in words if word not in _TRAIN and word not in _VAL and word not in ("end", "of", "after")]
    if reading.value is None or reading.percent or (not reading.value.is_integer() and rest != ["epoch"]):
        return ""  # only Hugging Face prints fractions of an epoch
    if rest and rest[-1] in _EPOCH and len(rest) <= 2:
        return "epoch"
    if rest and rest[-1] in _STEP and len(rest) <= 2:
        return "step"
    return "step" if not words and (index == 0 or reading.total) else ""


def _named(words: tuple[str, ...], context: str, noun_before: str, taken: set[str]) -> _Named:
    """Decide name and role from the words before a number, and from what stood before them in the line."""
    if words[-1] == "lr" or words[-2:] == ("learning", "rate"):
        return _Named("lr", "lr", "")
    split, noun = _split_of(words), _noun(words)
    plain = [word for word in words if word not in _FILLER]
    if any(word in _SETTING for word in words) or words[-1].isdigit():
        return _Named("_".join(words), None, "")
    rest = [word for word in plain if word not in _VAL and word not in _TRAIN]
    if split and not rest:
        return _bare(split, noun_before)
    if not noun or len(rest) != 1:
        return _Named("_".join(words), None, split)
    inherited = split or (context if f"{context}_{noun}" not in taken else "")
    name = f"{inherited or 'train'}_{noun}"
    loss = noun in _LOSS
    if inherited in ("val", "test"):
        return _Named(name, "val_loss" if loss else "val_metric", split)
    return _Named(name, "train_loss" if loss else "train_metric", split)


def _bare(split: str, noun: str) -> _Named:
    """ "train 0.41 val 0.52": the metric is the one named before, or settled later from the values."""
    name = f"{split}_{noun}" if noun else split
    loss = not noun or noun in _LOSS
    if split == "train":
        return _Named(name, "train_loss" if loss else "train_metric", split)
    return _Named(name, "val_loss" if loss else "val_metric", split)


def bare_role(name: str, values: Sequence[float | None], counts: bool) -> Role | None:
    """The role of a bare "train", "val" or "test", by all its values; `counts`: each was printed as a whole number."""
    if counts:
        return None  # sizes of the splits
    numbers = [value for value in values if value is not None]
    if len(numbers) > 1 and all(0 <= value <= 1 for value in numbers) and numbers[-1] > numbers[0]:
        return "train_metric" if name == "train" else "val_metric"
    return "train_loss" if name == "train" else "val_loss"
