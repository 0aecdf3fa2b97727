"""How every parameter starts. One table:

| parameters | distribution |
|---|---|
| token and position embeddings | N(0, 0.02²): the tied head starts near uniform, the first loss is ln(vocabulary) (GPT-2, 2019) |
| matrices | N(0, 1 / inputs): what they read keeps its variance (LeCun et al. 1998) |
| matrices that write into the residual stream | N(0, 1 / (inputs * 2 * layers)): it does not grow with depth (GPT-2) |
| last matrices of refiner and updater | N(0, 1 / (inputs * 2 * steps * micro-steps)): later answers start near the first |
| halting head | N(0, 0.02²), bias at the prior's stopping probability: tokens differ a little, around the prior |
| biases | 0 |
| norms | weight 1, bias 0 |
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import nn

from cognate.model.backbone import Layer
from cognate.model.halting import PRIOR_STOP

if TYPE_CHECKING:
    from cognate.model.model import CognateModel

EMBEDDING_DEVIATION = 0.02


@torch.no_grad()
def initialise(model: CognateModel, seed: int) -> None:
    """Set all parameters of `model` by the table above, from a generator of its own: the global random state is left alone."""
    generator = torch.Generator().manual_seed(seed)
    depth = _residual_depths(model)
    for module in model.modules():
        if isinstance(module, nn.Embedding):
            module.weight.normal_(0, EMBEDDING_DEVIATION, generator=generator)
        elif isinstance(module, nn.Linear):
            variance = 1 / (module.in_features * depth.get(module, 1))
            module.weight.normal_(0, math.sqrt(variance), generator=generator)
            if module.bias is not None:
                module.bias.zero_()
        elif isinstance(module, (nn.LayerNorm, nn.RMSNorm)):
            module.reset_parameters()
    model.halting_head.weight.normal_(0, EMBEDDING_DEVIATION, generator=generator)
    model.halting_head.bias.fill_(math.log(PRIOR_STOP / (1 - PRIOR_STOP)))


def _residual_depths(model: CognateModel) -> dict[nn.Module, int]:
    """The matrices that add to a stream, with the number of additions that the stream gets."""
    recursion, layers = model.recursion, [layer for layer in model.backbone.layers if isinstance(layer, Layer)]
    written = {matrix: 2 * len(layers) for layer in layers for matrix in (layer.attention.output, layer.feed_forward.down)}
    thinking = {mlp[-1]: 2 * recursion.steps * recursion.micro_steps for mlp in (recursion.refiner.mlp, recursion.updater.mlp)}
    return {**written, **thinking}
