"""Data and chance: DataLoaders with what they were told, batches with their fingerprints, and every reseeding."""

from __future__ import annotations

import random
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils.data import DataLoader, dataloader

from cognate.observe.live import facts
from cognate.observe.live.chance import fresh_state, generators
from cognate.observe.live.patch import before_and_after, wrap
from cognate.observe.live.recorder import Recorder, guarded, timed

# Batches described per pass over a loader, and passes described per loader.
CLOSE_BATCHES = 4
CLOSE_PASSES = 6


class Data:
    """Wraps DataLoader's constructor, its iteration and the seeding functions."""

    def __init__(self, recorder: Recorder, listen: Any) -> None:
        self.recorder = recorder
        self.listen = listen  # turns the module hooks on: a new pass may be an evaluation
        self.on_pass: Callable[[str], None] = lambda label: None
        self.on_batch: Callable[[Any], None] = lambda batch: None
        self.passes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self.iterators: weakref.WeakKeyDictionary[Any, list[Any]] = weakref.WeakKeyDictionary()
        self.owners: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()

    def install(self) -> None:
        """Wrap them."""
        guard = self.recorder
        wrap(DataLoader, "__init__", before_and_after(after=guarded(guard, "DataLoader")(self._constructed)))
        wrap(DataLoader, "__iter__", before_and_after(after=guarded(guard, "DataLoader")(self._pass_begins)))
        note = guarded(guard, "batch")(timed(guard)(self._batch))
        wrap(dataloader._BaseDataLoaderIter, "__next__", self._clocked(note))
        # The subclasses call the base's __next__ by inheritance, so one wrapper sees every batch.
        note = guarded(guard, "seed")(self._seeded)
        for owner, name, said in ((torch, "manual_seed", "torch"), (torch.random, "manual_seed", "torch")):
            wrap(owner, name, before_and_after(before=lambda *a, said=said, **k: note(said, a, k)))
        wrap(random, "seed", before_and_after(before=lambda *a, **k: note("random", a, k)))
        numpy = sys.modules.get("numpy")
        if numpy is not None and hasattr(numpy, "random"):
            wrap(numpy.random, "seed", before_and_after(before=lambda *a, **k: note("numpy", a, k)))

    def _constructed(self, _: None, loader: DataLoader, *args: Any, **kwargs: Any) -> None:
        sampler = type(loader.sampler).__name__ if hasattr(loader, "sampler") else None
        try:
            length: int | None = len(loader.dataset)  # type: ignore[arg-type]
        except TypeError:
            length = None
        self.recorder.event(
            "loader",
            self.recorder.sites.here(4),
            object=self.recorder.label(loader, "loader"),
            dataset=type(loader.dataset).__name__,
            dataset_id=self.recorder.label(loader.dataset, "dataset"),
            length=length,
            batch_size=loader.batch_size,
            sampler=sampler,
            shuffles=sampler not in ("SequentialSampler", "_InfiniteConstantSampler", None),
            workers=loader.num_workers,
            drop_last=loader.drop_last,
            iterable=isinstance(loader.dataset, torch.utils.data.IterableDataset),
            reorders=getattr(getattr(loader, "sampler", None), "shuffle", None),
            worker_init=getattr(loader, "worker_init_fn", None) is not None,
            persistent=bool(getattr(loader, "persistent_workers", False)),
        )

    def _pass_begins(self, iterator: Any, loader: DataLoader) -> None:
        count = self.passes.get(loader, 0)
        self.passes[loader] = count + 1
        label = self.recorder.label(loader, "loader")
        self.recorder.counts[f"pass:{label}"] += 1
        self.owners[iterator] = f"batches:{label}"
        if count < CLOSE_PASSES:
            self.iterators[iterator] = [label, count, 0]
            row = self.recorder.call("loader_iter", self.recorder.sites.here(4), object=label, number=count)
            if row is not None and loader.num_workers > 0:
                row["generators"] = generators(loader.dataset, self.recorder.sites)
        self.on_pass(label)
        self.listen()

    def _clocked(self, note: Any) -> Any:
        """Make a wrapper that adds the time until a batch was there to what this window waited for data, and notes the batch."""

        def make(original: Any) -> Any:
            def next_batch(iterator: Any) -> Any:
                begun = time.perf_counter()
                batch = original(iterator)
                if self.recorder.active:
                    self.recorder.waited += time.perf_counter() - begun
                note(batch, iterator)
                return batch

            return next_batch

        return make

    def _batch(self, batch: Any, iterator: Any) -> None:
        self.on_batch(batch)
        owner = self.owners.get(iterator)
        if owner:
            self.recorder.counts[owner] += 1
        state = self.iterators.get(iterator)
        if state is None or state[2] >= CLOSE_BATCHES:
            return
        state[2] += 1
        tensors = facts.tensors_in(batch)[:4]
        described = []
        for tensor in tensors:
            fact = facts.describe(tensor) | {"hash": facts.fingerprint(tensor)}
            if tensor.dim() == 1 and not tensor.is_floating_point():
                fact["histogram"] = facts.histogram(tensor)
            described.append(fact)
        self.recorder.event("batch", object=state[0], number=state[1], index=state[2] - 1, tensors=described)

    def _seeded(self, library: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        value = args[0] if args else kwargs.get("seed", kwargs.get("a"))
        seed = value if isinstance(value, (int, float, str)) else type(value).__name__
        site = self.recorder.sites.here(4)
        if site is None:  # a library seeding itself is no decision of the script's
            return
        if len(self.recorder.seeds) < 16:
            self.recorder.seeds.append({"library": library, "seed": seed})
        self.recorder.counts[f"seed:{library}"] += 1
        if self.recorder.counts[f"seed:{library}"] <= 64:
            fields = {"state": fresh_state(seed)} if library == "torch" and isinstance(seed, int) else {}
            self.recorder.event("seed", site, library=library, seed=seed, stack=self.recorder.sites.stack(4), **fields)
