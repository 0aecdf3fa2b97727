"""Modules and trainable tensors that hang on a model without being registered: no optimizer is given them."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from cognate.observe.live import facts


def unregistered(root: nn.Module, owned: set[int]) -> list[dict[str, Any]]:
    """Modules and trainable tensors that hang on attributes, lists or dicts of `root`'s modules without being registered."""
    registered = {id(m) for m in root.modules()} | {id(p) for p in root.parameters()} | {id(b) for b in root.buffers()}
    found = []
    for name, module in root.named_modules():
        for attribute, value in vars(module).items():
            if attribute.startswith("_") and attribute not in ("_",):
                continue
            for path, item in _items(attribute, value):
                trainable = isinstance(item, nn.Module) and any(p.requires_grad for p in item.parameters())
                loose = isinstance(item, Tensor) and item.is_leaf and item.requires_grad
                if (trainable or loose) and id(item) not in registered:
                    entry = {
                        "module": name,
                        "attribute": path,
                        "cls": type(item).__name__,
                        "owner": type(module).__name__,
                    }
                    loose_parameters = list(item.parameters()) if isinstance(item, nn.Module) else [item]
                    entry["numel"] = sum(facts.numel(p) for p in loose_parameters)
                    entry["grad"] = any(p.grad is not None for p in loose_parameters)
                    entry["owned"] = any(id(p) in owned for p in loose_parameters)
                    found.append(entry)
    return found[:50]


def _items(path: str, value: Any) -> list[tuple[str, Any]]:
    if isinstance(value, (nn.Module, Tensor)):
        return [(path, value)]
    if isinstance(value, (list, tuple)):
        return [(f"{path}[{i}]", item) for i, item in enumerate(value) if isinstance(item, (nn.Module, Tensor))]
    if isinstance(value, dict):
        return [(f"{path}[{k!r}]", item) for k, item in value.items() if isinstance(item, (nn.Module, Tensor))]
    return []
