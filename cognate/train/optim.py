"""Optimizers: fused AdamW, or Muon for the hidden matrices and AdamW for the rest.

Which parameter is what is decided by its number of dimensions, the type of the module that owns it, and its name:

| role      | which                                                                              | decay | with Muon  |
|-----------|------------------------------------------------------------------------------------|-------|------------|
| hidden    | two dimensions, both above 1                                                       | yes   | Muon       |
| matrix    | the output head (a module named head, lm_head, output or unembedding); other shapes | yes   | AdamW      |
|           | of two or more dimensions                                                          |       |            |
| embedding | owned by an Embedding or EmbeddingBag, also where a head is tied to it; a parameter | no    | AdamW      |
|           | of its own whose name holds `embed` or `position`                                  |       |            |
| vector    | fewer than two dimensions: biases, norms, gates; everything in a normalisation     | no    | AdamW      |

Muon is meant for hidden matrices only (Jordan et al., 2024, https://kellerjordan.github.io/posts/muon/). `match_rms_adamw` scales
its update to the size of AdamW's, so that one learning rate and one decay serve both (Liu et al., 2025, arXiv:2502.16982).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from cognate.train.options import TrainOptions

HEADS = {"head", "lm_head", "output", "unembedding"}
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)
NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, nn.modules.batchnorm._NormBase, nn.LocalResponseNorm)


def roles(model: nn.Module) -> dict[str, str]:
    """The role of each trained parameter by its name; a shared one is listed once, under its first name."""
    found: dict[nn.Parameter, tuple[str, str]] = {}
    for path, module in model.named_modules():
        for own, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            role = _role(module, path.rpartition(".")[2], own, parameter)
            if parameter not in found:
                found[parameter] = (f"{path}.{own}" if path else own, role)
            elif role == "embedding":  # tied: what it is first of all
                found[parameter] = (found[parameter][0], role)
    return dict(found.values())


def _role(module: nn.Module, module_name: str, own: str, parameter: nn.Parameter) -> str:
    if isinstance(module, EMBEDDINGS):
        return "embedding"
    if isinstance(module, NORMS) or parameter.ndim < 2:
        return "vector"
    if not isinstance(module, nn.Linear) and ("embed" in own.lower() or "position" in own.lower()):
        return "embedding"
    if parameter.ndim == 2 and min(parameter.shape) > 1 and module_name not in HEADS:
        return "hidden"
    return "matrix"


def build(model: nn.Module, options: TrainOptions) -> dict[str, torch.optim.Optimizer]:
    """The optimizers by name: `adamw` alone, or `muon` and `adamw`; one that would have no parameters is left out."""
    parameters = dict(model.named_parameters())
    of_role: dict[str, list[nn.Parameter]] = {"hidden": [], "matrix": [], "embedding": [], "vector": []}
    for name, role in roles(model).items():
        of_role[role].append(parameters[name])
    decayed, plain = of_role["matrix"], of_role["embedding"] + of_role["vector"]
    optimizers: dict[str, torch.optim.Optimizer] = {}
    if options.optimizer == "adamw":
        decayed = of_role["hidden"] + decayed
    elif of_role["hidden"]:
        optimizers["muon"] = torch.optim.Muon(
            of_role["hidden"],
            lr=options.muon_learning_rate or options.learning_rate,
            weight_decay=options.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        )
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    groups = [group for group in groups if group["params"]]
    if groups:
        optimizers["adamw"] = _adamw(groups, lr=options.learning_rate, betas=options.betas)
    return optimizers


def _adamw(groups: list[dict[str, Any]], **settings: Any) -> torch.optim.AdamW:
    try:
        return torch.optim.AdamW(groups, fused=True, **settings)
    except RuntimeError:  # a device without the fused kernel
        return torch.optim.AdamW(groups, **settings)
