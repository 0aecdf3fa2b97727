"""What halting does in a trained reference model: answers used, and the work that stopping early leaves out."""

from __future__ import annotations

import statistics
from typing import Any

import torch

from cognate.model.config import SPECIALISATIONS
from cognate.model.model import CognateModel, Decision
from learners.exam import Exam
from learners.size import flops

NEVER = 2.0  # a threshold that no probability reaches: every answer is computed
READ = 40  # problems read one at a time, with their reference answers, to count operations


def thinking(model: CognateModel, exam: Exam) -> dict[str, Any]:
    """The same weights with the threshold of each specialisation, and without early exit; plain JSON by name.

    `answers_used` is the mean over problems of what their generated tokens took, `correlation` Pearson's between it and the
    reasoning steps of the problem. `variance` is over the tokens of reference answers, read by a full forward with the same
    threshold; `flops_per_token` is counted there too, prompts included, one text at a time.
    """
    thresholds = {"no early exit": NEVER, **{name: values["halting_threshold"] for name, values in SPECIALISATIONS.items()}}
    found = {name: _at(model, exam, threshold) for name, threshold in thresholds.items()}
    full = found["no early exit"]["flops_per_token"]
    for values in found.values():
        values["flops_saved"] = 1 - values["flops_per_token"] / full
    return found


def _at(model: CognateModel, exam: Exam, threshold: float) -> dict[str, Any]:
    solved = exam.solve(model, threshold)
    used, work, tokens = _read(model, exam, threshold)
    by_difficulty = {steps: values["answers_used"] for steps, values in solved["by_difficulty"].items()}
    generated = sum(values["problems"] * values["answers_used"] for values in solved["by_difficulty"].values())
    return {
        "threshold": threshold,
        "exact_match": solved["exact_match"],
        "answers_used": generated / max(1, solved["problems"] - solved["too_long"]),
        "answers_used_by_steps": by_difficulty,
        "correlation": solved["correlation"],
        "variance": statistics.pvariance(used),
        "flops_per_token": work / tokens,
    }


def _read(model: CognateModel, exam: Exam, threshold: float) -> tuple[list[int], int, int]:
    """Answers used by each token of the reference answers; the operations for all tokens, prompts too, and their number."""
    used: list[int] = []
    work = count = 0
    for problem in exam.problems[:READ]:
        asked, told = exam.encode(problem.prompt), exam.encode(problem.answer)
        tokens = torch.tensor([(asked + told)[: model.config.positions]])  # (1, T)
        decided: list[Decision] = []

        def read(tokens: torch.Tensor = tokens, decided: list[Decision] = decided) -> None:
            decided.append(model.decide(tokens, threshold=threshold))

        work += flops(read)
        # The prompt's last token predicts the first of the answer.
        used += decided[0].answers_used[0, len(asked) - 1 :].tolist()
        count += tokens.shape[1]
    return used, work, count
