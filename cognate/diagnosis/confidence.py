"""Measured confidence: a rule's precision on the public fault corpus at the proof level it had.

`confidence.json` beside this module is written by `make bench`; nothing in it is typed by hand. A rule that the corpus has not
tried has no confidence and says "unmeasured".
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

# Beta(1, 1) prior: with n trials and k right, (k + 1) / (n + 2) (Laplace's rule of succession).
PRIOR_RIGHT, PRIOR_TRIALS = 1, 2


@lru_cache(maxsize=1)
def _table() -> dict[str, dict[str, list[int]]]:
    path = Path(__file__).with_name("confidence.json")
    if not path.is_file():
        return {}
    table: dict[str, dict[str, list[int]]] = json.loads(path.read_text(encoding="utf-8"))["rules"]
    return table


def confidence(name: str, proof: str) -> tuple[float | None, str]:
    """Return (confidence in 0..1 or None, the words that say what it rests on) for rule `name` at level `proof`."""
    counts = _table().get(name, {}).get(proof)
    if not counts or not counts[1]:
        return None, "unmeasured"
    right, fired = counts
    value = round((right + PRIOR_RIGHT) / (fired + PRIOR_TRIALS), 2)
    return value, f"right {right} of {fired} times on the fault corpus"
