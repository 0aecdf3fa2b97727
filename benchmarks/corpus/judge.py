"""What a run printed, and whether a fault changed it: the figures behind `measured.json`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NUMBER = r"([-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf))"
# A fault counts as measured when it costs a tenth of what the healthy program learns, or half as much error again.
SHARE = 0.10
RATIO = 1.5
# Time per run: what repeated runs of one program differ by on a busy machine stays under a fifth.
SLOWER = 1.25
# A figure that is only reported (a leak, a wrong average) must be off by a tenth of what was learned, either way.
LEARNS = 0.05


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program."""

    code: int
    seconds: float
    output: str
    errors: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a condition holds, and the figures it was judged by."""

    holds: bool
    figures: Mapping[str, Any]
    reason: str = ""


def values(output: str, metric: Mapping[str, Any]) -> list[float]:
    """The readings of a metric in what was printed."""
    pattern = metric["pattern"].replace("{n}", NUMBER)
    return [float(found) for found in re.findall(pattern, output, re.MULTILINE)]


def ends(run: Run, metric: Mapping[str, Any]) -> tuple[float, float] | None:
    """Where the metric starts (its first reading or what chance gives) and where it ends."""
    series = values(run.output, metric)
    if not series:
        return None
    start = float(metric["chance"]) if "chance" in metric else series[0]
    return start, series[-1]


def learns(run: Run, metric: Mapping[str, Any]) -> Verdict:
    """Whether a healthy program gets better at what it is for."""
    if run.code:
        return Verdict(False, {"exit": run.code}, "it fails")
    reading = ends(run, metric)
    if reading is None:
        return Verdict(False, {}, "the metric is not printed")
    start, end = reading
    figures = {"start": start, "end": end}
    gain = (start - end) if metric["better"] == "lower" else (end - start)
    if not math.isfinite(end) or gain < LEARNS * max(abs(start), abs(end)):
        return Verdict(False, figures, "it does not learn")
    return Verdict(True, figures)


def changed(base: Run, faulty: Run, metric: Mapping[str, Any], outcome: Mapping[str, Any]) -> Verdict:
    """Whether the fault makes the outcome worse, or for a reported figure other, by more than a wobble."""
    if outcome.get("kind") == "time":
        figures = {"before": round(faulty.seconds, 2), "after": round(base.seconds, 2)}
        return Verdict(faulty.seconds > SLOWER * base.seconds, figures, "no slower")
    if faulty.code:
        return Verdict(False, {"exit": faulty.code}, "the faulty program fails instead of misbehaving")
    good, bad = ends(base, metric), ends(faulty, metric)
    if good is None or bad is None:
        return Verdict(False, {}, "the metric is not printed")
    start, end = good
    figures = {"before": bad[1], "after": end}
    if not math.isfinite(bad[1]):
        return Verdict(True, figures)
    learned = abs(start - end) or abs(end)
    worse = (bad[1] - end) if metric["better"] == "lower" else (end - bad[1])
    if outcome.get("kind") == "reported":
        worse = abs(worse)
    figures["share"] = round(worse / learned, 3) if learned else 0.0
    positive = metric["better"] == "lower" and end > 0
    other = positive and outcome.get("kind") == "reported" and bad[1] > 0 and end / bad[1] >= RATIO
    ratio = positive and bad[1] / end >= RATIO
    return Verdict((worse > 0 and worse >= SHARE * learned) or ratio or other, figures, "the outcome hardly changes")
