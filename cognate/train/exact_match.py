"""Exact match on held-out problems, by free-running generation: the share of final answers that are right.

Teacher forcing would show the model the reasoning up to each token, and a leak of the future would look like skill. Here
nothing but the question is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cognate.model.model import CognateModel
from cognate.train.data.answers import Problem, final_answer, same_answer
from cognate.train.generation import generate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SHOWN = 3  # generated answers that are kept as they are, for a reader


def exact_match(
    model: CognateModel,
    tokenizer: Tokenizer,
    problems: Sequence[Problem],
    *,
    end: int | None,
    limit: int = 256,
    threshold: float | None = None,
) -> dict[str, Any]:
    """Solve `problems` greedily; plain JSON for the report.

    `exact_match` is the share that is right, `by_difficulty` the same for each number of reasoning steps, with the answers (1
    to K) that
    the model's tokens used on average; `correlation` is Pearson's between difficulty and answers used over the problems, null
    where either does not vary. Problems whose prompt leaves no room are counted as `too_long` and as wrong.
    """
    encoded = [tokenizer.encode(problem.prompt, add_special_tokens=False).ids for problem in problems]
    fits = [0 < len(ids) < model.config.positions for ids in encoded]
    asked = [problem for problem, fit in zip(problems, fits, strict=True) if fit]
    prompts = [ids for ids, fit in zip(encoded, fits, strict=True) if fit]
    solved = generate(model, prompts, end=end, limit=limit, threshold=threshold)
    texts = [tokenizer.decode(generated.tokens) for generated in solved]
    right = [same_answer(final_answer(text), final_answer(problem.answer)) for text, problem in zip(texts, asked, strict=True)]
    used = [sum(generated.answers_used) / len(generated.answers_used) for generated in solved]
    difficulties = [problem.difficulty for problem in asked]
    return {
        "problems": len(problems),
        "too_long": len(problems) - len(asked),
        "right": sum(right),
        "exact_match": sum(right) / len(problems) if problems else None,
        "by_difficulty": _by_difficulty(difficulties, right, used),
        "correlation": _correlation(difficulties, used),
        "examples": [
            {"prompt": problem.prompt, "generated": text, "right": good}
            for problem, text, good in list(zip(asked, texts, right, strict=True))[:SHOWN]
        ],
    }


def _by_difficulty(difficulties: Sequence[int], right: Sequence[bool], used: Sequence[float]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for difficulty in sorted(set(difficulties)):
        chosen = [index for index, value in enumerate(difficulties) if value == difficulty]
        found[str(difficulty)] = {
            "problems": len(chosen),
            "exact_match": sum(right[index] for index in chosen) / len(chosen),
            "answers_used": sum(used[index] for index in chosen) / len(chosen),
        }
    return found


def _correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    from statistics import StatisticsError, correlation

    try:
        return correlation(first, second)
    except StatisticsError:
        return None
