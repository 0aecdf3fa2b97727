"""Compares a result with an earlier one: a cause that is no longer named, an alarm that is new, a run that now breaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cognate.bench.report import SCHEMA
from cognate.case.store import read_json
from cognate.errors import CaseError, UsageError


@dataclass(frozen=True)
class Comparison:
    """What became worse, in sentences, and how much was compared."""

    regressions: tuple[str, ...]
    compared: int
    gained: int  # causes that are named now and were not
    absent: int  # programs of the baseline that were not run now


def read_baseline(file: Path) -> dict[str, Any]:
    """Read an earlier result. Raises UsageError where `file` is none."""
    try:
        found = read_json(file)
        if found["schema"] != SCHEMA:
            raise KeyError(found["schema"])
        return {str(row["id"]): row for row in found["programs"]}
    except (CaseError, KeyError, TypeError) as error:
        raise UsageError(f"{file} is no result of the bench: write it with `cognate bench … --format json -o FILE`.") from error


def compare(now: Mapping[str, Any], before: Mapping[str, Any]) -> Comparison:
    """Compare the document `now` with the programs of an earlier one; a program that is new has nothing to lose."""
    regressions, gained, compared = [], 0, 0
    for row in now["programs"]:
        old = before.get(row["id"])
        compared += old is not None
        regressions += _worse(row, old or {})
        gained += old is not None and bool(row.get("root")) and not old.get("root")
    absent = len(before.keys() - {row["id"] for row in now["programs"]})
    return Comparison(tuple(regressions), compared, gained, absent)


def _worse(row: Mapping[str, Any], old: Mapping[str, Any]) -> list[str]:
    name, found = row["id"], []
    if row["ended"] != "ok" and old.get("ended", "ok") == "ok":
        found.append(f"{name}: {row['ended']}, which it did not before")
    if row["kind"] == "faulty" and old.get("root") and not row["root"]:
        said = ", ".join(row["roots"]) or "no root cause"
        found.append(f"{name}: lost the cause {row['cause']}; it says {said}")
    if row["kind"] != "faulty":
        # A warning that became an error is new; an error that became a warning is not.
        known = {"errors": set(old.get("errors", ())), "warnings": {*old.get("warnings", ()), *old.get("errors", ())}}
        found += [
            f"{name}: new false alarm {rule} ({level[:-1]}) on a {'fixed' if row['kind'] == 'fixed' else 'healthy'} program"
            for level in ("errors", "warnings")
            for rule in row[level]
            if rule not in known[level]
        ]
    return found
