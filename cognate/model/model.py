"""The reference model: backbone, memory, recursion and halting, as one module."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cognate.errors import UsageError
from cognate.model.attention import Visibility, visibility
from cognate.model.backbone import Backbone
from cognate.model.cache import Cache
from cognate.model.config import ModelConfig
from cognate.model.early_exit import early_exit
from cognate.model.halting import halting_log_probabilities
from cognate.model.initialisation import initialise
from cognate.model.memory import Memory
from cognate.model.recursion import Recursion


class Thought(NamedTuple):
    """What the model makes of a batch in training: every answer, and how probable it is to stop there."""

    answers: Tensor  # (K, B, T, D): features; `CognateModel.logits` turns them into logits
    halting: Tensor  # (B, T, K) float32: log p(stop at answer k)


class Decision(NamedTuple):
    """What the model answers at inference: one prediction a token, and the work that it took."""

    logits: Tensor  # (B, T, V)
    answers_used: Tensor  # (B, T) int64, 1 to K


class CognateModel(nn.Module):
    """Next-token model whose answers are refined step by step, and which learns when to stop.

    A token's output depends on the earlier tokens of its own row and document, on nothing else: neither on later tokens nor on
    neighbours in the batch nor on what was seen before, in train and in eval mode alike.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self.memory = Memory(config.width, config.memory_width, config.memory_horizon)
        self.recursion = Recursion(config)
        self.halting_head = nn.Linear(config.width, 1)
        initialise(self, config.seed)

    def forward(self, tokens: Tensor, positions: Tensor | None = None, documents: Tensor | None = None) -> Thought:
        """All answers for `tokens` (B, T) int64.

        `positions` (B, T) int64 default to 0 … T - 1; `documents` (B, T) int64 keeps documents packed into one row apart. Raises
        UsageError where the sequence is longer than the positions.
        """
        view = visibility(tokens.shape[1], self.config.window, documents, tokens.device)
        x, _ = self.features(tokens, positions, documents, view)
        answers = self.recursion(x, view)
        halting = self.halting_head(answers[:-1])[..., 0]  # (K - 1, B, T)
        return Thought(answers, halting_log_probabilities(halting.permute(1, 2, 0)))

    def features(
        self, tokens: Tensor, positions: Tensor | None, documents: Tensor | None, view: Visibility, cache: Cache | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the recursion thinks about, (B, T, D), and the memory's state (B, M) after it."""
        first = 0 if cache is None else cache.length
        if first + tokens.shape[1] > self.config.positions:
            raise UsageError(
                f"A sequence of {first + tokens.shape[1]} tokens does not fit the model's {self.config.positions} positions: "
                "shorten it (--sequence), or choose a preset with more positions."
            )
        if positions is None:
            positions = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        h = self.backbone(tokens, positions, view, None if cache is None else cache.layers)
        return self.memory(h, documents, None if cache is None else cache.memory)

    def logits(self, answers: Tensor) -> Tensor:
        """(…, D) -> (…, V): the head is the token embedding."""
        return F.linear(answers, self.backbone.token_embedding.weight)

    @torch.inference_mode()
    def decide(self, tokens: Tensor, cache: Cache | None = None, threshold: float | None = None) -> Decision:
        """The prediction after each of `tokens` (B, T) int64, with early exit; one document a row.

        With a `cache` (see `new_cache`) the tokens continue the ones that it holds: all of a prompt first, then one at a time.
        `threshold` overrides the configuration's: above 1 no token stops before the last answer.
        """
        if cache is not None and cache.length and tokens.shape[1] != 1:
            raise ValueError("A cache continues by one token at a time.")
        alone = cache is not None and cache.length > 0
        view = Visibility(causal=False) if alone else visibility(tokens.shape[1], self.config.window, None, tokens.device)
        x, state = self.features(tokens, None, None, view, cache)
        if threshold is None:
            threshold = self.config.halting_threshold
        y, used = early_exit(self.recursion, self.halting_head, threshold, x, self.config.window, cache)
        if cache is not None:
            cache.memory, cache.length = state, cache.length + tokens.shape[1]
        return Decision(self.logits(y), used)

    def new_cache(self) -> Cache:
        """An empty cache for `decide`."""
        return Cache(self.config.layers, self.config.steps, self.config.window)


def parameter_parts(model: CognateModel) -> dict[str, int]:
    """How many parameters each part holds; tied ones count once."""
    count = lambda *modules: sum(p.numel() for module in modules for p in module.parameters())  # noqa: E731
    embeddings = count(model.backbone.token_embedding, model.backbone.position_embedding)
    return {
        "embeddings": embeddings,
        "backbone": count(model.backbone, model.memory) - embeddings,
        "recursion": count(model.recursion),
        "halting head": count(model.halting_head),
    }
