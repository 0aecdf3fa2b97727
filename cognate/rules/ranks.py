"""Several ranks as rules ask about them: what each said of itself at the same step, and how far apart they are."""

from __future__ import annotations

import math
import re
from typing import Any

from cognate.case.case import Case
from cognate.rules.training import parameters

Row = dict[str, Any]


def replicas(case: Case) -> dict[int, Case]:
    """The ranks that trained a model of the same shape; empty where there are fewer than two such, or the models differ.

    Ranks with different models (the stages of a pipeline, a learner and its actors) are no replicas of each other.
    """
    parts = {rank: part for rank, part in case.ranks.items() if part.events("rank", name="state")}
    owned = {str([p["shape"] for p in parameters(part) if p.get("optimizer")]) for part in parts.values()}
    return parts if len(parts) > 1 and len(owned) == 1 else {}


def states(case: Case) -> list[tuple[int, list[Row]]]:
    """(step, what each rank said of itself before it) for the steps at which all described the same optimizer."""
    parts = replicas(case)
    found: list[tuple[int, list[Row]]] = []
    told = [
        {(e["step"], e["name"] == "end"): e for name in ("state", "end") for e in part.events("rank", name=name)}
        for part in parts.values()
    ]
    if not told:
        return []
    for key in sorted(set.intersection(*(set(events) for events in told))):
        rows = [events[key] for events in told]
        if len({(row.get("object"), row.get("tensors")) for row in rows}) == 1:
            found.append((key[0], rows))
    return found


def apart(rows: list[Row], key: str) -> bool:
    """Whether the ranks have different checksums under `key`."""
    return len({row.get(key) for row in rows}) > 1


def distance(rows: list[Row], key: str) -> float:
    """The largest difference between the ranks' sampled values under `key`, by their root mean square; 0 where unknown."""
    columns = list(zip(*(row.get(key) or [] for row in rows), strict=False))
    numbers = [value for column in columns for value in column if isinstance(value, (int, float)) and math.isfinite(value)]
    size = math.sqrt(sum(value * value for value in numbers) / len(numbers)) if numbers else 0.0
    return max((max(column) - min(column) for column in columns), default=0.0) / size if size else 0.0


def wrappers(part: Case) -> list[Row]:
    """The models that this rank wrapped for data-parallel training."""
    return part.events("rank", name="wrapper")


def raised_at(case: Case, text: str) -> Row | None:
    """The last of the user's own lines in a printed traceback: a launcher raises anew, far from the line that failed."""
    frames = re.findall(r'File "([^"\n]+)", line (\d+), in (\S+)', text)
    for path, line, function in reversed(frames):
        name = next((file for file in case.source if path.replace("\\", "/").endswith(f"/{file}")), None)
        if name:
            return {"file": name, "line": int(line), "function": function}
    return None
