"""What every source yields: documents, and the rows that could not become one."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cognate.errors import UsageError

NAMED = 200  # bad rows named one by one in the facts; beyond these they are counted by reason


@dataclass(frozen=True)
class DataOptions:
    """Where the data comes from and how it becomes rows. `sequence` is in tokens, `validation` a share above 0 and below 1."""

    source: str  # synthetic, arithmetic[:mixed|:N], a file, a folder, a glob, or hf:NAME[:CONFIG][@SPLIT]
    text_field: str | None = None
    prompt_field: str | None = None
    answer_field: str | None = None
    tokenizer: str | None = None
    sequence: int = 256
    validation: float = 0.05
    pack: bool = True
    limit: int | None = None  # rows read from each part of the source; None: all of them
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sequence < 2:
            raise UsageError(f"A sequence of {self.sequence} tokens cannot be trained on: give at least 2.")
        if not 0 < self.validation < 1:
            raise UsageError(
                f"The share held out for validation is {self.validation}: give a number between 0 and 1, such as 0.05."
            )
        if self.limit is not None and self.limit < 2:
            raise UsageError(f"A limit of {self.limit} rows leaves nothing to train and validate on: give at least 2.")
        if self.text_field and (self.prompt_field or self.answer_field):
            raise UsageError(
                "--text-field and --prompt-field/--answer-field exclude each other: plain text, or a prompt with its answer."
            )


@dataclass(frozen=True)
class Document:
    """One text to learn. Where there is a prompt, only `text` (the answer) is scored."""

    text: str
    where: str  # file:line, or the generator's name and index
    prompt: str | None = None  # as it stands before the answer, separator included
    steps: int | None = None  # reasoning steps, where the source knows them
    # What must not be learnt in training when this document is held out: it counts as seen when training holds all of these.
    keys: tuple[str, ...] = ()


class Record(NamedTuple):
    """One row as read: a mapping of fields, a plain text, or None with the fault that made it unreadable."""

    where: str
    row: Mapping[str, Any] | str | None
    fault: str = ""


@dataclass
class BadRows:
    """Rows that could not be used: all are counted, the first ones are named."""

    count: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    named: list[dict[str, str]] = field(default_factory=list)

    def add(self, where: str, reason: str) -> None:
        """Count one bad row."""
        self.count += 1
        self.reasons[reason] += 1
        if len(self.named) < NAMED:
            self.named.append({"where": where, "reason": reason})


@dataclass
class Reading:
    """All that one source holds. `held_out` is the source's own validation part, None where it has none."""

    documents: list[Document]
    held_out: list[Document] | None = None
    facts: dict[str, Any] = field(default_factory=dict)


def normalise(text: str) -> str:
    """The text without differences that a reader would not see: Unicode form, case, and the amount of white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
