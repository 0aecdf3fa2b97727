"""`--dry-run`: what a run would do, what it would cost, and what its first loss should be."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cognate.model.model import CognateModel, parameter_parts
from cognate.train.data.corpus import Corpus
from cognate.train.fused_loss import CHUNK_ELEMENTS
from cognate.train.job import Job
from cognate.train.objective import LanguageModelling

MIB = 1 << 20
NUMBER = 4  # bytes of a float32: parameters, gradients and optimizer state are kept in it
STATES = {"adamw": 2, "muon": 1}  # numbers that the optimizer keeps for each number of a hidden matrix


def plan(job: Job, model: CognateModel, corpus: Corpus, processes: int) -> str:
    """The plan as text. One row is passed through the model to measure what its activations take; nothing is trained."""
    options = job.training
    tokens = options.effective_batch * job.data.sequence
    accumulate = options.accumulate(processes)
    lines = [
        f"Model     {named(job)}: {parameters(model)}",
        *_table(model),
        f"Data      {describe_data(corpus.facts)}",
        f"Batch     {options.effective_batch} rows of {job.data.sequence} tokens ({tokens:,} tokens) a step: "
        f"{processes} process(es) x {accumulate} micro-batches x {options.micro_batch} rows",
        f"Training  {options.steps:,} steps, {options.optimizer}, learning rate {options.learning_rate:g} "
        f"(warm-up {options.warmup}, cosine to {options.min_lr_ratio:g} of it), "
        f"weight decay {options.weight_decay:g} on matrices, clipping at {options.clip_norm}, {options.precision}",
        f"          validation every {options.evaluate_every} steps, early stopping after {options.patience} without improvement,"
        f" checkpoint every {options.checkpoint_every} steps, the last {options.keep_last} and the best kept",
        f"Memory    {memory(job, model, corpus)}",
        f"Expected  first loss {math.log(model.config.vocabulary):.3f} = ln {model.config.vocabulary:,}, give or take 0.15",
    ]
    return "\n".join(lines)


def named(job: Job) -> str:
    """The preset, and its specialisation where it has one."""
    return f"{job.preset} as {job.specialisation}" if job.specialisation else job.preset


def parameters(model: CognateModel) -> str:
    """The count and the shares of the parts."""
    parts = parameter_parts(model)
    total = sum(parts.values())
    return f"{total:,} parameters: " + ", ".join(f"{name} {share:.1%}" for name, share in shares(parts).items())


def shares(parts: dict[str, int]) -> dict[str, float]:
    """Each part's share of all parameters."""
    total = sum(parts.values())
    return {name: count / total for name, count in parts.items()}


def describe_data(facts: dict[str, Any]) -> str:
    """One line about the corpus."""
    train, validation = facts["train"], facts["validation"]
    bad = facts.get("bad_rows_count", 0)
    return (
        f"{facts['source']}: {train['rows']:,} rows to train on ({train['scored_tokens']:,} scored tokens), "
        f"{validation['rows']:,} held out, {facts.get('problems', 0):,} of their problems can be checked; {bad:,} bad rows"
    )


def memory(job: Job, model: CognateModel, corpus: Corpus) -> str:
    """What training takes at least, from sizes that are known and activations that are measured on one row."""
    count = sum(parameter.numel() for parameter in model.parameters())
    state = 2 * NUMBER * count + STATES[job.training.optimizer] * NUMBER * count
    activations = activation_bytes(model, corpus) * job.training.micro_batch
    head = NUMBER * (
        min(CHUNK_ELEMENTS, job.training.micro_batch * job.data.sequence * model.config.answers * model.config.vocabulary)
    )
    total = state + activations + head
    return (
        f"about {total / MIB:,.0f} MiB: weights, gradients and optimizer {state / MIB:,.0f}, activations of a micro-batch "
        f"{activations / MIB:,.0f}, one chunk of logits {head / MIB:,.0f}"
    )


def activation_bytes(model: CognateModel, corpus: Corpus) -> int:
    """Bytes that one row keeps for the backward pass, each storage once and without the parameters."""
    own = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    batch = corpus.train.batch([0]).to(model.halting_head.weight.device)
    with _kept(own) as sizes:
        LanguageModelling().loss(model, batch)
        # The gradients that the fused loss makes ahead belong to the parameters' share.
        head = model.backbone.token_embedding.weight
        return sum(sizes.values()) - head.numel() * NUMBER


@contextmanager
def _kept(excluded: set[int]) -> Iterator[dict[int, int]]:
    sizes: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in excluded:
            sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield sizes


def _table(model: CognateModel) -> list[str]:
    parts = parameter_parts(model)
    return [
        f"          {name:<13}{count:>13,}  {share:6.2%}"
        for (name, count), share in zip(parts.items(), shares(parts).values(), strict=True)
    ]
