"""Reads one printed line into numbers with names: the styles of ordinary scripts, Keras, tqdm, JSON, dicts.

`scan` never raises. What a number means is decided by `cognate.case.printed`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

# Longer lines are progress bars gone wild or dumped tensors; their head says what they are.
LONGEST = 1500
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_CLOCK = re.compile(
    r"^[IWEF]\d{4} \d{2}:\d{2}:\d{2}\.\d+\s+\d+ \S+:\d+\]"  # glog
    r"|(?<!\d)\d{1,2}[/-]\d{1,2}(?:[/-]\d{2,4})?[ T]+\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?"
    r"|\d{4}[-/]\d{1,2}[-/]\d{1,2}(?:[ T]\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?Z?)?"
    r"|\b\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\b(?!\s*[a-z])"
)
_LEVEL = re.compile(
    r"^[\s\[\]|:~-]*(?:[\w.]+\s+(?:-\s+)?)?(?:DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL)\b(?:\s*:[\w.]+(?::\d+)?:)?[\s\]|:-]*"
)
_BAR = re.compile(r"\|[^|\w]*\|")
_TAG = re.compile(r"^[\s~]*\[([A-Za-z][A-Za-z_ -]{0,30})\]")
# A leading word with a running number: "pretrain 3: loss …".
_LEAD = re.compile(r"^[\s~]*([A-Za-z][A-Za-z_-]{1,30})\s+#?(\d+)\s*:\s")
_NUMBER = re.compile(
    r"(?<![\w.@])(?P<text>[-+]?(?:\d[\d_]*(?:\.\d*)?(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?)|[-+]?(?:nan|inf|infinity)\b)"
    r"(?P<percent>\s?%)?(?![\w.]*[A-Za-z_])",
    re.IGNORECASE,
)
_COUNTERS = {"epoch", "step", "iter", "iteration", "it", "batch", "ep"}
# mmengine's "Epoch(train) [1]": the brackets are part of the name.
_SPLIT = re.compile(r"(?<=[a-z])\((train|val|test)\)")
# What separates one name from the next; a hyphen only with spaces around it, because names hold hyphens. A quantity
# with its unit ("1.2s", "3GB") is no metric and no part of a name.
_BREAK = re.compile(
    r"[|,;()\[\]{}<>\t]|\s[-–—·•]+\s|\s{3,}|\.\s|(?<![\w.])\d[\d.:]*(?:s|ms|us|sec|secs|min|h|[kKMG]i?B?|it/s|s/it)(?![\w/]):?"
)
_PAIR = re.compile(r"""['"]([\w ./-]{1,60})['"]\s*:\s*['"]?([-+]?[\w.+-]+)""")


@dataclass(frozen=True)
class Reading:
    """A number as printed: the words before it, its text, its value (None where non-finite), its total if "3/10"."""

    label: str
    text: str
    value: float | None
    total: float | None = None
    start: int = -1  # where the text begins in the cleaned line; -1 in a dictionary
    percent: bool = False  # it was printed as a percentage, and `value` is the share


def clean(text: str) -> str:
    """The last state of a line that overwrote itself, without colours."""
    parts = [part for part in _ANSI.sub("", text[: 8 * LONGEST]).split("\r") if part.strip()]
    return parts[-1][:LONGEST].strip("\n") if parts else ""


def scan(text: str) -> tuple[str, list[Reading]]:
    """Return the tag that opens the line ("" where none) and the named numbers in it, in order."""
    line = text if len(text) <= LONGEST and text.isprintable() else clean(text)
    start = line.find("{")
    if start >= 0 and line.rstrip().endswith("}"):
        pairs = list(_dictionary(line[start:].rstrip()))
        if pairs:
            return "", pairs
    if ":" in line or "-" in line:
        line = _CLOCK.sub(_blank, line)
    line = _LEVEL.sub(_blank, line)
    line = _SPLIT.sub(r" \1 ", line)
    if "|" in line:
        line = _BAR.sub(lambda bar: "|" * len(bar[0]), line)
    tag = ""
    found = _TAG.match(line)
    if found:
        tag, line = found.group(1).strip().lower(), _blank(found) + line[found.end() :]
    lead = _LEAD.match(line)
    readings = list(_numbers(line))
    if lead and not tag and readings and lead.group(1).lower() not in _COUNTERS:
        # The word names a part of the run, the number counts within it.
        tag = lead.group(1).lower()
        readings[0] = replace(readings[0], label="", total=None)
    return tag, readings


def _blank(match: re.Match[str]) -> str:
    """What says nothing is painted over, so that every number keeps its place."""
    return "~" * len(match[0])


def _number(text: str, percent: bool = False) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return (value / 100 if percent else value) if math.isfinite(value) else None


def _dictionary(text: str) -> Iterator[Reading]:
    try:
        yield from _flat(json.loads(text), "")
        return
    except (ValueError, RecursionError):
        pass
    for label, number in _PAIR.findall(text):
        if _NUMBER.fullmatch(number):
            yield Reading(label, number, _number(number))


def _flat(value: Any, label: str) -> Iterator[Reading]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{label} {key}".strip())
    elif isinstance(value, str) and _NUMBER.fullmatch(value):
        yield Reading(label, value, _number(value))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield Reading(label, repr(value), _number(repr(value)))


def _numbers(line: str) -> Iterator[Reading]:
    end = 0
    last: Reading | None = None
    for match in _NUMBER.finditer(line):
        between = line[end : match.start()]
        end = match.end()
        if match["percent"] and line.startswith("|", end):
            continue  # how far a bar is
        text, value = match["text"], _number(match["text"], bool(match["percent"]))
        joined = between.strip()
        if last is not None and joined in ("/", "of") and not match["percent"]:
            last = replace(last, total=value)
        elif last is not None and joined in ("->", "→", "=>", "to"):
            # "10.92 -> 10.94": the later number is the state now.
            last = Reading(last.label, text, value, start=match.start())
        elif last is not None and joined in ("±", "+-", "+/-"):
            continue
        else:
            if last is not None:
                yield last
            # "Epoch [3/10]": the bracket opens the number, it ends no name.
            named = between.rstrip()
            if named.endswith(("[", "(")) and named[:-1].strip():
                named = named[:-1].rstrip()
            label = _BREAK.split(named)[-1].strip(" \t:=#'\"*~@>-_\\/")
            last = Reading(label, text, value, start=match.start(), percent=bool(match["percent"]))
    if last is not None:
        yield last
