"""Adaptive computation time: how many refinement steps each token gets."""

import torch
from torch import nn


class ACTHead(nn.Module):
    """Scores, after each step, whether a token has been thought about for long enough."""

    def __init__(self, dim, threshold=0.99, ponder_weight=0.01, diversity_weight=0.01):
        super().__init__()
        self.score = nn.Linear(dim, 1)
        nn.init.constant_(self.score.bias, -4.0)
        self.threshold = threshold
        self.ponder_weight = ponder_weight
        self.diversity_weight = diversity_weight

    def forward(self, state):
        return torch.sigmoid(self.score(state)).squeeze(-1)

    def halted(self, cumulative):
        return cumulative >= self.threshold

    def ponder_loss(self, steps):
        """Cost of thinking: the mean number of steps."""
        return self.ponder_weight * steps.float().mean()

    def diversity_loss(self, probabilities):
        """Rewards halting probabilities that differ between tokens."""
        return -self.diversity_weight * probabilities.var()
