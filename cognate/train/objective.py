"""The reference model's task: what its answers and its halting cost, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cognate.model.halting import answers_used, diversity, prior_divergence
from cognate.model.model import CognateModel, Thought
from cognate.train.batch import IGNORED, Batch
from cognate.train.fused_loss import linear_cross_entropy


@dataclass(frozen=True)
class HaltingWeights:
    """How much the parts of the objective count, per scored token and in nats."""

    expected: float = 0.5  # share of the language loss that is weighted by where tokens stop; the rest is deep supervision
    prior: float = 0.01  # of the divergence from the prior: PonderNet's own beta (arXiv:2107.05407, section 3.1)
    diversity: float = 0.01  # of the mutual information between token and step: as large as the prior's, which it balances


class LanguageModelling:
    """Next-token prediction with deep supervision and differentiable halting.

    language = sum over answers k of c_k * cross-entropy_k,    c_k = (1 - e) * w_k / sum(w) + e * p_k
    objective = language + prior * KL(p || geometric) - diversity * I(token; step)

    The c_k of a token sum to one, so that the language loss starts at ln(vocabulary). p is differentiable in it: a token
    learns to stop where its answers get no better.
    """

    shown: Sequence[str] = ("answers_used",)

    def __init__(self, weights: HaltingWeights | None = None) -> None:
        self.weights = weights or HaltingWeights()

    def loss(self, model: CognateModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Objective and statistics, summed over the scored tokens of `batch`."""
        thought: Thought = model(batch.tokens, batch.positions, batch.documents)
        return self._score(model, thought, batch)

    def weight(self, batch: Batch) -> int:
        """Scored tokens."""
        return batch.scored

    @torch.no_grad()
    def evaluate(self, model: CognateModel, batch: Batch) -> dict[str, Tensor]:
        """The same statistics without gradient; `loss` is the language loss, `final_loss` that of the last answer alone."""
        return self.loss(model, batch)[1]

    def _score(self, model: CognateModel, thought: Thought, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        scored = batch.targets != IGNORED  # (B, T)
        targets = batch.targets[scored]  # (N)
        answers = thought.answers
        features = answers.flatten(1, 2) if batch.scored == scored.numel() else answers[:, scored]  # (K, N, D)
        log_p = thought.halting[scored]  # (N, K)
        p = log_p.exp()
        supervision = torch.tensor(model.config.supervision, device=p.device)
        share = self.weights.expected
        coefficients = (1 - share) * supervision / supervision.sum() + share * p  # (N, K)
        language, losses = linear_cross_entropy(
            features.flatten(0, 1),
            model.backbone.token_embedding.weight,
            targets.repeat(len(features)),
            coefficients.t().flatten(),
        )
        divergence = prior_divergence(log_p).sum()
        information = diversity(thought.halting, scored)
        objective = language + self.weights.prior * divergence - self.weights.diversity * information
        statistics = _halting_statistics(log_p.detach(), model.config.halting_threshold)
        statistics |= {
            "loss": language.detach(),
            "objective": objective.detach(),
            "final_loss": losses.view(len(features), -1)[-1].sum(),
            "first_loss": losses.view(len(features), -1)[0].sum(),
            "diversity": information.detach(),
        }
        return objective, statistics


def _halting_statistics(log_p: Tensor, threshold: float) -> dict[str, Tensor]:
    """Sums over the N tokens of `log_p` (N, K): answers used at inference, their squares, and tokens that stop at each answer."""
    used = answers_used(log_p, threshold)
    answers = log_p.shape[-1]
    counts = torch.bincount(used - 1, minlength=answers)
    return {
        "answers_used": used.sum(),
        "answers_used_squared": (used * used).sum(),
        **{f"stopped_at_{number + 1}": counts[number] for number in range(answers)},
    }
