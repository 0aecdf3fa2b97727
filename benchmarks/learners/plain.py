"""A plain pre-norm transformer made of the reference model's own parts: what is left without memory, recursion and halting."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cognate.model.attention import Visibility, visibility
from cognate.model.backbone import Backbone, Layer
from cognate.model.cache import Cache
from cognate.model.config import ModelConfig
from cognate.model.initialisation import EMBEDDING_DEVIATION
from cognate.model.model import Decision
from cognate.train.batch import IGNORED, Batch
from cognate.train.fused_loss import linear_cross_entropy


class PlainModel(nn.Module):
    """The backbone with its tied head. It decodes by the interface of `CognateModel`, so that both are examined alike.

    Of `config` the backbone's shape counts; the numbers of memory and recursion say nothing here.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        self._initialise(config.seed)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        """As `cognate.model.initialisation` has it for the backbone."""
        generator = torch.Generator().manual_seed(seed)
        layers = [layer for layer in self.backbone.layers if isinstance(layer, Layer)]
        residual = {matrix for layer in layers for matrix in (layer.attention.output, layer.feed_forward.down)}
        for module in self.backbone.modules():
            if isinstance(module, nn.Embedding):
                module.weight.normal_(0, EMBEDDING_DEVIATION, generator=generator)
            elif isinstance(module, nn.Linear):
                additions = 2 * len(layers) if module in residual else 1
                module.weight.normal_(0, math.sqrt(1 / (module.in_features * additions)), generator=generator)

    def forward(self, tokens: Tensor, positions: Tensor, documents: Tensor | None = None) -> Tensor:
        """Features (B, T, D) of `tokens` (B, T) int64."""
        return self.backbone(tokens, positions, visibility(tokens.shape[1], self.config.window, documents, tokens.device))

    @torch.inference_mode()
    def decide(self, tokens: Tensor, cache: Cache | None = None, threshold: float | None = None) -> Decision:
        """The prediction after each of `tokens` (B, T) int64; there is one answer, so `threshold` changes nothing."""
        first = 0 if cache is None else cache.length
        view = Visibility(causal=False) if first else visibility(tokens.shape[1], self.config.window, None, tokens.device)
        positions = torch.arange(first, first + tokens.shape[1], device=tokens.device)
        h = self.backbone(tokens, positions, view, None if cache is None else cache.layers)
        if cache is not None:
            cache.length += tokens.shape[1]
        return Decision(F.linear(h, self.backbone.token_embedding.weight), torch.ones_like(tokens))

    def new_cache(self) -> Cache:
        """An empty cache for `decide`."""
        return Cache(self.config.layers, 0, self.config.window)


class NextToken:
    """Cross-entropy of the next token, by the same fused loss as the reference model's."""

    shown: Sequence[str] = ()

    def loss(self, model: PlainModel, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Cross-entropy summed over the scored tokens of `batch`, and the same as its one statistic."""
        scored = batch.targets != IGNORED  # (B, T)
        features = model(batch.tokens, batch.positions, batch.documents)[scored]  # (N, D)
        ones = torch.ones(len(features), device=features.device)
        total, _ = linear_cross_entropy(features, model.backbone.token_embedding.weight, batch.targets[scored], ones)
        return total, {"loss": total.detach()}

    def weight(self, batch: Batch) -> int:
        """Scored tokens."""
        return batch.scored

    @torch.no_grad()
    def evaluate(self, model: PlainModel, batch: Batch) -> dict[str, Tensor]:
        """The cross-entropy without gradient."""
        return self.loss(model, batch)[1]
