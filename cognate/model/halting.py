"""Adaptive computation time: the probability of stopping at each answer, and what makes its distribution worth having.

A token that has reached answer k stops there with probability sigmoid(l_k); at the last answer it stops for certain (as in
PonderNet,
Banino et al. 2021, arXiv:2107.05407). All three terms of the loss are differentiable in l, and sums over tokens or over rows,
so that accumulated gradients equal those of the big batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

PRIOR_STOP = 0.4  # of the geometric prior: 2.2 answers on average where there are 4


def halting_log_probabilities(logits: Tensor) -> Tensor:
    """log p(stop at answer k), (..., K) float32, from the logits (..., K - 1) of all answers but the last."""
    logits = logits.float()
    going_on = F.logsigmoid(-logits).cumsum(-1)  # (..., K - 1): log p(not stopped up to and with k)
    reached = F.pad(going_on, (1, 0))  # (..., K): log p(answer k is reached)
    return reached + F.pad(F.logsigmoid(logits), (0, 1))


def prior_divergence(log_p: Tensor) -> Tensor:
    """KL(p || truncated geometric prior) of each token, in nats: (..., K) -> (...). It keeps thinking from being free."""
    answers = log_p.shape[-1]
    weights = torch.tensor([(1 - PRIOR_STOP) ** k * PRIOR_STOP for k in range(answers)], device=log_p.device)
    return (log_p.exp() * (log_p - (weights / weights.sum()).log())).sum(-1)


def diversity(log_p: Tensor, scored: Tensor) -> Tensor:
    """How much the number of steps depends on the token, summed over scored tokens: a scalar in nats, 0 where all stop alike.

    For each row it is the mutual information of token and step, H(mean p) - mean H(p) (Bridle et al. 1992; Krause et al.
    2010), times
    the row's scored tokens. `log_p` (B, T, K), `scored` (B, T) bool. Rows are never split, so micro-batches add up to the big
    batch.
    """
    p = log_p.exp() * scored[..., None]
    count = scored.sum(-1)  # (B)
    mean = p.sum(1) / count.clamp(min=1)[:, None]  # (B, K)
    entropy_of_mean = -(mean * mean.clamp(min=1e-9).log()).sum(-1)  # (B)
    entropies = -(p * log_p).sum((1, 2))  # (B): summed over the row's tokens
    return (entropy_of_mean * count - entropies).sum()


def answers_used(log_p: Tensor, threshold: float) -> Tensor:
    """The answer at which each token stops, 1 to K: where p(stopped so far) reaches `threshold`. (..., K) -> (...) int64."""
    stopped = log_p.exp().cumsum(-1)[..., :-1]
    return 1 + (stopped < threshold).long().sum(-1)
