"""Several processes that train one model: found by what `torchrun` and `accelerate launch` put into the environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from cognate.errors import UsageError


@dataclass(frozen=True)
class Group:
    """The processes of a run, and this one among them. With one process nothing is communicated."""

    rank: int
    world: int
    device: torch.device

    @property
    def writes(self) -> bool:
        """Whether this process prints and writes the run's files."""
        return self.rank == 0

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module`, its gradients averaged over the processes."""
        if self.world == 1:
            return module
        devices = [self.device] if self.device.type == "cuda" else None
        return nn.parallel.DistributedDataParallel(module, device_ids=devices, gradient_as_bucket_view=True)

    def sum_counts(self, *counts: int) -> list[int]:
        """Each count summed over the processes. They stay on the CPU, so that no GPU has to be waited for."""
        if self.world == 1:
            return list(counts)
        table = torch.tensor(counts)
        distributed.all_reduce(table)
        return [int(count) for count in table.tolist()]

    def sum(self, values: Tensor) -> Tensor:
        """`values` summed over the processes, in place."""
        if self.world > 1:
            distributed.all_reduce(values)
        return values

    def gather(self, text: str) -> list[str]:
        """The text of every process, by rank."""
        if self.world == 1:
            return [text]
        content = text.encode()
        size = max(self._all(torch.tensor([len(content)])).flatten().tolist())
        padded = torch.tensor(list(content.ljust(size)), dtype=torch.uint8)
        return [bytes(row.tolist()).decode().rstrip() for row in self._all(padded)]

    def _all(self, row: Tensor) -> Tensor:
        rows = [torch.empty_like(row) for _ in range(self.world)]
        distributed.all_gather(rows, row)
        return torch.stack(rows)


@contextmanager
def joined(device: str = "auto") -> Iterator[Group]:
    """The group that the launcher started, left again at the end; a group of one where there was no launcher.

    A process group that exists already is used and not closed. Raises UsageError for a device that this machine does not have.
    """
    world, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    place = _device(device, local)
    if world == 1:
        yield Group(0, 1, place)
        return
    ours = not distributed.is_initialized()
    if ours:
        # Counts travel over gloo even where gradients travel over nccl.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo")
    try:
        yield Group(distributed.get_rank(), distributed.get_world_size(), place)
    finally:
        if ours:
            distributed.destroy_process_group()


def _device(name: str, local: int) -> torch.device:
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", local)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UsageError(f"The device {name!r} is not to be had here: choose auto, cpu, or one that PyTorch finds.") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    return device
