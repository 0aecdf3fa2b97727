"""Held-out problems, and what a model makes of them when it hears nothing but the question."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cognate.errors import UsageError
from cognate.train.data.corpus import Corpus, Problem
from cognate.train.exact_match import exact_match

if TYPE_CHECKING:
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class Exam:
    """Problems to solve by free-running generation of at most `limit` tokens."""

    problems: tuple[Problem, ...]
    tokenizer: Tokenizer
    end: int | None
    limit: int

    def solve(self, model: Any, threshold: float | None = None) -> dict[str, Any]:
        """What `exact_match` says of `model`, a `CognateModel` or one that decodes as it does."""
        return exact_match(model, self.tokenizer, self.problems, end=self.end, limit=self.limit, threshold=threshold)

    def encode(self, text: str) -> list[int]:
        """Token ids, as they are in training."""
        return list(self.tokenizer.encode(text, add_special_tokens=False).ids)


def examination(corpus: Corpus, problems: int, lengths: int | None, limit: int) -> Exam:
    """The first held-out `problems`, of those with the commonest `lengths` prompt lengths (None: of all).

    Prompts of one length are decoded together: where the lengths are spread wide, the commonest ones save most of the time.
    Raises UsageError where the data holds no problems.
    """
    if corpus.tokenizer is None or not corpus.problems:
        raise UsageError(f"{corpus.facts['source']} holds no problems: give data with answers that end in `#### NUMBER`.")
    exam = Exam(corpus.problems, corpus.tokenizer, corpus.end, limit)
    chosen = exam.problems
    if lengths is not None:
        length_of = [len(exam.encode(problem.prompt)) for problem in chosen]
        common = {length for length, _ in Counter(length_of).most_common(lengths)}
        chosen = tuple(problem for problem, length in zip(chosen, length_of, strict=True) if length in common)
    return Exam(chosen[:problems], exam.tokenizer, exam.end, limit)
