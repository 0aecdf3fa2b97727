"""Models and optimizers as flat tables of named tensors, which is all that safetensors holds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

Optimizers = Mapping[str, torch.optim.Optimizer]


def of_model(model: nn.Module) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The model's tensors, and for each name that is tied to another one the name under which its tensor is kept."""
    kept: dict[str, Tensor] = {}
    tied: dict[str, str] = {}
    names: dict[tuple[int, torch.Size, tuple[int, ...], torch.dtype], str] = {}
    storages: set[int] = set()
    for name, tensor in model.state_dict().items():
        identity = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and identity in names:
            tied[name] = names[identity]
            continue
        names[identity] = name
        storage = tensor.untyped_storage().data_ptr()
        # A part of another tensor becomes a tensor of its own: safetensors refuses to write the same memory twice.
        kept[name] = tensor.detach().clone() if storage in storages else tensor.detach().contiguous()
        storages.add(storage)
    return kept, tied


def into_model(model: nn.Module, tensors: Mapping[str, Tensor], tied: Mapping[str, str]) -> None:
    """Copy `tensors` into `model`. Raises ValueError, which says what differs, before anything was changed."""
    whole = dict(tensors) | {name: tensors[kept] for name, kept in tied.items() if kept in tensors}
    wanted = model.state_dict()
    for name, tensor in wanted.items():
        if name not in whole:
            raise ValueError(f"it lacks {name}")
        if tuple(whole[name].shape) != tuple(tensor.shape):
            raise ValueError(f"{name} is {_shape(whole[name])} in it and {_shape(tensor)} in the model")
    unknown = sorted(set(whole) - set(wanted))
    if unknown:
        raise ValueError(f"it holds {unknown[0]}, which the model lacks")
    model.load_state_dict(whole)


def of_optimizers(model: nn.Module, optimizers: Optimizers) -> dict[str, Tensor]:
    """Every state tensor as `optimizer/parameter/key`; parameters go by name, because their order is no promise."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{kind}/{names[parameter]}/{key}": value.detach().contiguous()
        for kind, optimizer in optimizers.items()
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def into_optimizers(model: nn.Module, optimizers: Optimizers, tensors: Mapping[str, Tensor]) -> None:
    """Restore the state that `of_optimizers` gave; hyperparameters stay. Raises ValueError that says what differs."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        owner, _, key = name.rpartition("/")
        found.setdefault(owner, {})[key] = tensor
    for kind, optimizer in optimizers.items():
        parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        state = {}
        for index, parameter in enumerate(parameters):
            values = found.pop(f"{kind}/{names[parameter]}", None)
            if values is None:
                continue  # it had no gradient so far
            for key, value in values.items():
                if value.ndim and value.shape != parameter.shape:
                    raise ValueError(
                        f"the {key} of {names[parameter]} is {_shape(value)} in it and {_shape(parameter)} in the model"
                    )
            state[index] = values
        optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
    if found:
        raise ValueError(f"it holds a state for {min(found)}, which this run does not optimise")


def _shape(tensor: Tensor) -> str:
    return "×".join(str(size) for size in tensor.shape) or "a scalar"
