"""Answers in GSM8K's format: reasoning, then a line `#### 19` (Cobbe et al., arXiv:2110.14168)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from cognate.train.data.document import Document

MARK = "####"
EQUATION = re.compile(r"<<[^<>]*=[^<>]*>>")  # GSM8K's calculator annotation, one a step


@dataclass(frozen=True)
class Problem:
    """A held-out question. `prompt` is what is encoded before generation starts, `answer` the reference with its `####` line."""

    prompt: str
    answer: str
    difficulty: int  # reasoning steps


def final_answer(text: str) -> str | None:
    """What stands after the first `####`, to the end of its line, without commas and spaces; None where there is nothing."""
    _, mark, rest = text.partition(MARK)
    line = rest.split("\n", 1)[0]
    answer = "".join(line.split()).replace(",", "")
    return answer if mark and answer else None


def same_answer(first: str | None, second: str | None) -> bool:
    """Whether two final answers agree: as numbers where both are (`19.0` is `19`), else as text. No answer agrees with none."""
    if first is None or second is None:
        return False
    try:
        return Decimal(first) == Decimal(second)
    except InvalidOperation:
        return first == second


def difficulty(answer: str) -> int:
    """The reasoning steps of an answer: its annotated equations, else its lines before `####`; at least one."""
    reasoning = answer.partition(MARK)[0]
    lines = [line for line in reasoning.splitlines() if line.strip()]
    return max(1, len(EQUATION.findall(reasoning)) or len(lines))


def problems(documents: Iterable[Document]) -> tuple[Problem, ...]:
    """The documents that ask for a checkable answer, each prompt once, in their order."""
    found: dict[str, Problem] = {}
    for document in documents:
        if document.prompt is not None and final_answer(document.text) is not None:
            steps = difficulty(document.text) if document.steps is None else document.steps
            found.setdefault(document.prompt, Problem(document.prompt, document.text, steps))
    return tuple(found.values())
