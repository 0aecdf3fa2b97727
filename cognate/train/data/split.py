"""What is held out for validation, and the proof that training does not hold it too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from cognate.errors import UsageError
from cognate.train.data.document import NAMED, Document


@dataclass
class Split:
    """The two sides, disjoint in their keys, and how that came about."""

    train: list[Document]
    validation: list[Document]
    facts: dict[str, Any] = field(default_factory=dict)


def draw(key: str) -> float:
    """A number in [0, 1) that depends on the content alone: the same text falls on the same side in every run, file and order."""
    return int.from_bytes(blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64


def split(documents: Sequence[Document], held_out: Sequence[Document] | None, share: float, source: str) -> Split:
    """The documents in two: the source's own validation part is held out, or else those of which a key draws below `share`.

    A document with several keys (the steps of a problem) is held out as soon as one of them is: training holds none.
    Raises UsageError where a side would be empty.
    """
    if held_out is not None:
        train, validation, method = list(documents), list(held_out), "the source's own validation part"
    else:
        train, validation, method = _by_content(documents, share)
    train, removed = _without_overlap(train, validation)
    for side, name in ((validation, "validate on"), (train, "train on")):
        if not side:
            raise UsageError(
                f"{source} leaves nothing to {name} ({len(documents)} documents, {len(removed)} of them also held out): "
                "give more distinct documents, or change --validation."
            )
    facts = {
        "method": method,
        "share": len(validation) / (len(train) + len(validation)),
        "overlap_removed": len(removed),
        "overlap": [document.where for document in removed[:NAMED]],
        "duplicates_in_training": len(train) - len({(document.prompt, document.text) for document in train}),
    }
    return Split(train, validation, facts)


def _by_content(documents: Sequence[Document], share: float) -> tuple[list[Document], list[Document], str]:
    draws = [min(draw(key) for key in document.keys) for document in documents]
    method = "by a hash of the content"
    if len(set(draws)) > 1:
        # Of few documents, none or all may draw below the share: the smallest draw is held out, the largest is trained on.
        lowest, highest = min(draws), max(draws)
        if lowest >= share:
            method, share = "the document with the smallest hash, for the share held none", min(set(draws) - {lowest})
        elif highest < share:
            method, share = "all but the document with the largest hash, for the share held all", highest
    train = [document for document, drawn in zip(documents, draws, strict=True) if drawn >= share]
    validation = [document for document, drawn in zip(documents, draws, strict=True) if drawn < share]
    return train, validation, method


def _without_overlap(train: list[Document], validation: list[Document]) -> tuple[list[Document], list[Document]]:
    """Training without what validation holds, and what had to go.

    A held-out document counts as seen when training holds each of its keys; its keys are then taken out of training.
    """
    seen = {key for document in train for key in document.keys}
    leaked = {key for document in validation if seen.issuperset(document.keys) for key in document.keys}
    if not leaked:
        return train, []
    removed = [document for document in train if not leaked.isdisjoint(document.keys)]
    return [document for document in train if leaked.isdisjoint(document.keys)], removed
