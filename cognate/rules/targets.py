"""The target audit as rules ask about it: rows of token targets over many loss calls, and where generation begins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Any

from cognate.case.case import Case
from cognate.rules.training import train_losses

Row = dict[str, Any]
# A share of rows that no template leaves to chance; a few rows may be cut or empty.
NEARLY_ALL = 0.95
# Fewer rows than this say nothing about all of them.
ENOUGH_ROWS = 12


@dataclass(frozen=True)
class Audited:
    """The audited calls of one loss, with one dictionary a row."""

    calls: list[Row]
    rows: list[Row]
    site: Row | None

    @property
    def shifted(self) -> bool:
        """Whether the targets are the model's own input tokens, so that rows are known in full."""
        return bool(self.rows) and "offset" in self.rows[0]

    @property
    def scored(self) -> list[Row]:
        """The rows of which anything is scored."""
        return [row for row in self.rows if row["scored"] > 0]

    @property
    def prompted(self) -> float:
        """The share of rows whose scored part is in one piece and begins behind two or more tokens that are not scored."""
        rows = self.scored
        return sum(row["first"] - row.get("begin", 0) >= 2 and whole(row) for row in rows) / len(rows) if rows else 0.0


def audits(case: Case) -> Audited | None:
    """The audited training calls of the loss that was called most; None where no loss has rows of tokens for targets."""
    found: dict[tuple[Any, Any, bool], list[Row]] = {}
    for call in train_losses(case, "cross_entropy", "nll_loss"):
        audit = (call.get("target") or {}).get("audit")
        if audit:
            site = call.get("site") or {}
            found.setdefault((site.get("file"), site.get("line"), "offset" in audit), []).append(call)
    if not found:
        return None
    calls = max(found.values(), key=len)
    rows = [row for number, call in enumerate(calls) for row in _rows(call["target"]["audit"], number)]
    return Audited(calls, rows, calls[0].get("site"))


def _rows(audit: Row, number: int) -> list[Row]:
    columns = {key: value for key, value in audit.items() if isinstance(value, list)}
    shared = {key: value for key, value in audit.items() if not isinstance(value, list)} | {"call": number}
    count = min((len(value) for value in columns.values()), default=0)
    return [shared | {key: value[index] for key, value in columns.items()} for index in range(count)]


def whole(row: Row) -> bool:
    """Whether the scored part of the row has no gap."""
    return bool(row["scored"] == row["last"] - row["first"] + 1)


def commonest(values: Iterable[Hashable]) -> tuple[Any, float]:
    """The commonest of `values` and its share; (None, 0.0) for none at all."""
    counts = Counter(values)
    if not counts:
        return None, 0.0
    value, count = counts.most_common(1)[0]
    return value, count / sum(counts.values())


def special(case: Case) -> dict[str, int]:
    """What the model's own configuration says of its special tokens: `eos_token_id` and so on, with `vocab_size`."""
    for root in case.model.get("roots", []):
        tokens = root.get("tokens")
        if tokens:
            return {key: int(value) for key, value in tokens.items()}
    return {}


def configured(case: Case, audited: Audited, key: str) -> int | None:
    """The special token `key` of the configuration, if the loss is over that vocabulary and the id lies in it."""
    known = special(case)
    token, size = known.get(key), known.get("vocab_size")
    classes = {call.get("classes") for call in audited.calls}
    return token if token is not None and size is not None and classes == {size} and 0 <= token < size else None


def generations(case: Case) -> list[Row]:
    """The forwards with which a generation began: their input of tokens, `heads` and `tails` of its rows.

    Generation shows as forwards without gradient of which each has one token more than the one before, or one token alone.
    """
    found: list[Row] = []
    before: Row | None = None
    grown = False
    for event in case.events("forward", grad=False):
        tokens = next((given for given in event.get("inputs", []) if given.get("tails")), None)
        place = (event["step"], event.get("object"))
        length = tokens["shape"][1] if tokens else _single(event)
        follows = before is not None and before["place"] == place and length in (before["length"] + 1, 1)
        if follows and not grown and before is not None and before["tokens"]:
            found.append(before["tokens"])
        grown = follows
        before = {"place": place, "length": length, "tokens": tokens} if length else None
    return found


def _single(event: Row) -> int:
    """1 where the forward was given one token a row, as with a cache of keys and values."""
    shapes = [given.get("shape") or [] for given in event.get("inputs", []) if "int" in str(given.get("dtype"))]
    return 1 if any(len(shape) == 2 and shape[1] == 1 for shape in shapes) else 0
