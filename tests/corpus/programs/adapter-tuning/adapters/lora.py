import torch
from torch import nn


class LoRALinear(nn.Module):
    def __init__(self, base, rank, alpha=8.0):
        super().__init__()
        self.base = base
        self.A = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.B = nn.Parameter(torch.zeros(base.out_features, rank))
        self.scale = alpha / rank

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.A.t() @ self.B.t())


def freeze_base(model):
    for p in model.parameters():
        p.requires_grad = False


def add_adapters(model, rank):
    for layer in model.layers:
        for name in ("query", "value", "up", "down"):
            setattr(layer, name, LoRALinear(getattr(layer, name), rank))
