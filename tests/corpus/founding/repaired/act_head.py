"""Adaptive computation time: how many refinement steps each token gets."""

import torch
from torch import nn


class ACTHead(nn.Module):
    """Scores, after each step, whether a token has been thought about for long enough.

    Training weights the answer of each step by the probability of halting there (as PonderNet does), so the scores are learned.
    """

    def __init__(self, dim, threshold=0.5, prior=0.4, ponder_weight=0.01, diversity_weight=0.05):
        super().__init__()
        self.score = nn.Linear(dim, 1)
        self.threshold = threshold
        self.prior = prior
        self.ponder_weight = ponder_weight
        self.diversity_weight = diversity_weight

    def forward(self, state):
        return torch.sigmoid(self.score(state)).squeeze(-1)

    def distribution(self, scores):
        """Probability of halting at each step, over the last dimension; the last step takes what is left."""
        going_on = (1 - scores[..., :-1]).cumprod(dim=-1)
        first, between, last = scores[..., :1], scores[..., 1:-1] * going_on[..., :-1], going_on[..., -1:]
        return torch.cat([first, between, last], dim=-1)

    def steps(self, halting):
        """Number of steps that each token takes when it halts at the threshold."""
        halted = halting.cumsum(dim=-1) >= self.threshold
        return 1 + halting.size(-1) - halted.sum(dim=-1)

    def ponder_loss(self, halting):
        """Cost of thinking: divergence from a geometric prior over the number of steps."""
        step = torch.arange(halting.size(-1), device=halting.device)
        prior = self.prior * (1 - self.prior) ** step
        prior = prior / prior.sum()
        return self.ponder_weight * (halting * (halting.clamp(min=1e-8) / prior).log()).sum(-1).mean()

    def diversity_loss(self, halting):
        """Rewards tokens that halt at different steps: the information that a token gives about its number of steps."""
        average = entropy(halting.flatten(0, -2).mean(dim=0))
        return -self.diversity_weight * (average - entropy(halting).mean())


def entropy(probabilities):
    return -(probabilities * probabilities.clamp(min=1e-8).log()).sum(dim=-1)
