"""fairseq's log, in its simple and its JSON format, and ESPnet's trainer lines: `1epoch:train:1-100batch: loss=2.3, …`."""

from __future__ import annotations

import re
from pathlib import Path

from cognate.observe.logs.points import Told
from cognate.observe.logs.run import ForeignRun
from cognate.observe.logs.textlog import find_text, number, read_text, signature

FORMAT = "the log of fairseq or ESPnet"
GENERIC = 2  # text: where a folder has a table or a database too, that tells more
_FAIRSEQ = re.compile(r"\| (train_inner|train|valid(?:_\w+)?|test) \| (?:(?:epoch (\d+))?\s*(:\s+\d+ / \d+\s+|\|)|(?=\{))")
_JSON = re.compile(r'"([\w.-]+)": "?([-+]?[\w.+-]+)')
_SIMPLE = re.compile(r"([A-Za-z_][\w.-]*)[= ]([-+]?(?:\d[\w.+-]*|nan|inf))(?=[,\s]|$)")
_ESPNET = re.compile(r"\b(\d+)epoch(?::train:\d+-(\d+)batch:| results: \[train\])")
_SETS = re.compile(r"\[(train|valid)\]\s*([^\[]*)")
_EQUALS = re.compile(r"([A-Za-z_][\w.-]*)=([-+]?[\w.+-]+)")
_SIGN = re.compile(rf"{_FAIRSEQ.pattern}|{_ESPNET.pattern}")
_KEPT = re.compile(r"loss|ppl|^lr$|gnorm|grad_norm|acc|bleu|wer|cer|clip$|loss_scale|optim0_lr0|error|map|f1")
fits = signature(_SIGN)


def find(path: Path) -> Path | None:
    """The text file that `path` is or holds with at least two such lines."""
    return find_text(path, fits)


def read(file: Path) -> ForeignRun:
    """Read the lines. Raises CaseError where none has a metric."""
    return read_text(file, "fairseq or espnet log", parse)


def parse(line: str) -> Told | None:
    """What a line tells, or None."""
    found = _FAIRSEQ.search(line)
    if found is not None:
        return _fairseq(line, found)
    found = _ESPNET.search(line)
    if found is None:
        return None
    epoch = float(found[1])
    if found[2]:
        values = _kept(_EQUALS.findall(line, found.end()), "")
        return Told(values, float(found[2]), None, epoch) if values else None
    results = []
    for name, text in _SETS.findall(line):
        results += _kept(_EQUALS.findall(text), "train_epoch_" if name == "train" else "valid_")
    return Told(results, None, None, epoch) if results else None


def _fairseq(line: str, found: re.Match[str]) -> Told | None:
    pairs = (_JSON if "{" in line[found.end() : found.end() + 2] else _SIMPLE).findall(line, found.end())
    fields = dict(pairs)
    told = found[1]
    counter = next((name for name in fields if name.endswith("num_updates")), "")
    step = number(fields.get(counter, ""))
    epoch = number(fields.get("epoch", "") or found[2] or "")
    # The summary of an epoch is another series than the losses within it.
    prefix = "" if told == "train_inner" else f"{told}_"
    values = _kept(pairs, prefix)
    return Told(values, step, None, epoch) if values else None


def _kept(pairs: list[tuple[str, str]], prefix: str) -> list[tuple[str, float]]:
    kept = []
    for name, text in pairs:
        value = number(text)
        if value is not None and _KEPT.search(name) and "best" not in name:
            plain = name if name.startswith(prefix) else prefix + name
            kept.append((plain.replace("gnorm", "grad_norm").replace("optim0_lr0", "lr"), value))
    return kept
