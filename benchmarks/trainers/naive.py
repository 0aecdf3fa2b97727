"""The reference model's objective, written down as on a first day: the yardstick for speed, and a second opinion on what is true.

The same parameters and the same mathematics as `CognateModel` and `LanguageModelling`, without any of their care: a loop over
time in the memory, attention as a masked softmax, keys and values of the features made anew in every micro-step, the logits of
all answers in memory at once. `tests/train/test_naive_equality.py` asserts that objective and gradients are equal.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from cognate.model.attention import Attention
from cognate.model.halting import PRIOR_STOP
from cognate.model.memory import Memory
from cognate.model.model import CognateModel
from cognate.train import optim
from cognate.train.batch import IGNORED, Batch
from cognate.train.objective import HaltingWeights
from cognate.train.options import TrainOptions


def objective(model: CognateModel, batch: Batch, weights: HaltingWeights | None = None) -> Tensor:
    """The sum over the scored tokens of `batch` that `LanguageModelling.loss` returns first."""
    weights = weights or HaltingWeights()
    answers = think(model, batch)
    scored = (batch.targets != IGNORED).float()  # (B, T)
    p = halting(model, answers)  # (B, T, K)
    supervision = model.config.supervision
    language = torch.zeros(())
    for number, answer in enumerate(answers):
        logits = answer @ model.backbone.token_embedding.weight.t()  # (B, T, V)
        losses = F.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED, reduction="none")
        fixed = supervision[number] / sum(supervision)
        language = language + (((1 - weights.expected) * fixed + weights.expected * p[..., number]).flatten() * losses).sum()
    prior = torch.tensor([PRIOR_STOP * (1 - PRIOR_STOP) ** number for number in range(len(answers))])
    divergence = (p * (p.log() - (prior / prior.sum()).log())).sum(-1) * scored  # (B, T)
    return language + weights.prior * divergence.sum() - weights.diversity * diversity(p, scored)


def think(model: CognateModel, batch: Batch) -> list[Tensor]:
    """All answers, each (B, T, D)."""
    backbone, recursion = model.backbone, model.recursion
    mask = visible(batch, model.config.window)
    x = backbone.token_embedding(batch.tokens) + backbone.position_embedding(batch.positions)  # (B, T, D)
    for layer in backbone.layers:
        normed = layer.attention_norm(x)
        x = x + attend(layer.attention, normed, normed, mask)
        normed = layer.feed_forward_norm(x)
        x = x + layer.feed_forward.down(F.silu(layer.feed_forward.gate(normed)) * layer.feed_forward.up(normed))
    x = remember(model.memory, backbone.norm(x), batch.documents)
    z, y = recursion.initial_thought(x), recursion.initial_answer(x)
    refiner, updater = recursion.refiner, recursion.updater
    answers = [y]
    for _ in range(recursion.steps):
        for _ in range(recursion.micro_steps):
            seen, known = attend(refiner.input_attention, z, x, mask), attend(refiner.answer_attention, z, y, mask)
            z = refiner.norm(z + refiner.mlp(torch.cat((z, seen, known), -1)))
        y = updater.norm(y + updater.mlp(torch.cat((y, z), -1)))
        answers.append(y)
    return answers


def visible(batch: Batch, window: int) -> Tensor:
    """Which keys each query may see: (B or 1, 1, T, T) bool."""
    at = torch.arange(batch.tokens.shape[1])
    mask = ((at[:, None] >= at[None, :]) & (at[:, None] - at[None, :] < window))[None, None]
    if batch.documents is not None:
        mask = mask & (batch.documents[:, None, :, None] == batch.documents[:, None, None, :])
    return mask


def attend(attention: Attention, queries: Tensor, source: Tensor, mask: Tensor) -> Tensor:
    """(B, T, D), (B, T, D) -> (B, T, D)."""
    rows, tokens, width = queries.shape
    split = (rows, tokens, attention.heads, width // attention.heads)
    query = attention.query(queries).view(split).transpose(1, 2)  # (B, heads, T, D / heads)
    key = attention.key(source).view(split).transpose(1, 2)
    value = attention.value(source).view(split).transpose(1, 2)
    read = masked_softmax_attention(query, key, value, mask)
    return attention.output(read.transpose(1, 2).reshape(rows, tokens, width))


def masked_softmax_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """softmax(q k / sqrt(d)) v over the visible keys: (B, heads, T, d) each."""
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])  # (B, heads, T, T)
    return scores.masked_fill(~mask, -math.inf).softmax(-1) @ value


def remember(memory: Memory, h: Tensor, documents: Tensor | None) -> Tensor:
    """(B, T, D) -> (B, T, D)."""
    trace = looped_fading_sum(memory.write(h) * (1 - memory.decay), memory.decay, documents)
    recalled = memory.read(trace)
    return h + torch.sigmoid(memory.gate(torch.cat((h, recalled), -1))) * recalled


def looped_fading_sum(x: Tensor, decay: float, documents: Tensor | None = None) -> Tensor:
    """s_t = decay * s_{t-1} + x_t over `x` (B, T, M), one token after the other; it starts anew with each document."""
    state, states = torch.zeros_like(x[:, 0]), []
    for at in range(x.shape[1]):
        if documents is not None and at:
            state = state * (documents[:, at] == documents[:, at - 1])[:, None]
        state = decay * state + x[:, at]
        states.append(state)
    return torch.stack(states, 1)


def halting(model: CognateModel, answers: list[Tensor]) -> Tensor:
    """p(stop at answer k): (B, T, K)."""
    going_on, p = torch.ones(answers[0].shape[:2]), []
    for answer in answers[:-1]:
        stop = torch.sigmoid(model.halting_head(answer)[..., 0].float())
        p.append(going_on * stop)
        going_on = going_on * (1 - stop)
    return torch.stack([*p, going_on], -1)


def diversity(p: Tensor, scored: Tensor) -> Tensor:
    """Mutual information of token and step in each row, times the row's scored tokens, summed."""
    total = torch.zeros(())
    for row, counted in zip(p, scored.bool(), strict=True):
        row = row[counted]  # (N, K)
        if len(row):
            mean = row.mean(0)
            total = total + len(row) * -(mean * mean.log()).sum() + (row * row.log()).sum()
    return total


def optimizer(model: CognateModel, options: TrainOptions) -> torch.optim.Optimizer:
    """AdamW with the trainer's own groups and rates, one parameter after the other."""
    groups = [
        {"params": group["params"], "weight_decay": group["weight_decay"]}
        for group in optim.build(model, options)["adamw"].param_groups
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=options.betas, foreach=False, fused=False)
