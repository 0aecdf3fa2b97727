"""One model's course: trained by the trainer's own loop, examined on the way."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cognate.model.config import ModelConfig
from cognate.model.model import CognateModel
from cognate.train.data.corpus import Corpus, DataOptions, Rows, load
from cognate.train.loop import fit
from cognate.train.objective import LanguageModelling
from cognate.train.options import TrainOptions
from cognate.train.protocols import Task
from learners.exam import examination
from learners.plain import NextToken, PlainModel
from learners.size import COUNTED, parameters, training_flops
from learners.thinking import thinking

REFERENCE = "reference"
TIMED = 2  # steps


@dataclass(frozen=True)
class Lesson:
    """What all models of a comparison have in common: plain values, from which every process makes the same."""

    data: DataOptions
    vocabulary: int
    options: TrainOptions
    validated: int  # rows of the validation part on which the loss is measured
    problems: int  # held-out problems to solve at each point of the curve
    lengths: int | None  # only those of the so many commonest prompt lengths; None: any length
    limit: int  # tokens generated for a problem at most


@lru_cache(maxsize=1)
def corpus_of(data: DataOptions, vocabulary: int) -> Corpus:
    """The data, read once a process."""
    return load(data, vocabulary)


def build(name: str, config: ModelConfig) -> tuple[nn.Module, Task]:
    """The model called `name` and what it is trained on."""
    return (CognateModel(config), LanguageModelling()) if name == REFERENCE else (PlainModel(config), NextToken())


def course(name: str, config: ModelConfig, lesson: Lesson) -> dict[str, Any]:
    """Train the model `name` and return its size, its cost and its curve as plain JSON.

    `points` holds, at each evaluation: `tokens` read in training (all places of the rows), the validation `loss` in nats a
    scored token, which for the reference is that of its last answer, and `exact_match`. CPU seconds are those of training and
    validation, without the examinations.
    """
    torch.set_num_threads(1)
    corpus = corpus_of(lesson.data, lesson.vocabulary)
    exam = examination(corpus, lesson.problems, lesson.lengths, lesson.limit)
    model, task = build(name, config)
    size = {"parameters": parameters(model), "layers": config.layers, "width": config.width}
    flops = training_flops(model, task, corpus.train.batch(range(COUNTED)))
    points: list[dict[str, Any]] = []
    started, examined = time.process_time(), 0.0

    def observe(record: Mapping[str, Any]) -> None:
        nonlocal examined
        if "val_loss" not in record:
            return
        since = time.process_time()
        tokens = record["step"] * lesson.options.effective_batch * lesson.data.sequence
        points.append({"step": record["step"], "tokens": tokens, "loss": record.get("val_final_loss", record["val_loss"])})
        points[-1] |= {key: record[f"val_{key}"] for key in ("first_loss", "answers_used") if f"val_{key}" in record}
        solved = exam.solve(model)
        points[-1] |= {"exact_match": solved["exact_match"], "right": solved["right"]}
        examined += time.process_time() - since

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        validation = Rows(corpus.validation.planes[:, : lesson.validated])
        fit(model, task, corpus.train, validation, lesson.options, Path(folder), observers=[observe])
    found = {**size, "training_flops": flops, "cpu_seconds": time.process_time() - started - examined, "points": points}
    if isinstance(model, CognateModel):
        found["threshold"] = config.halting_threshold
        found["thinking"] = thinking(model, exam)
    return found


def seconds_a_step(name: str, config: ModelConfig, lesson: Lesson) -> float:
    """CPU seconds of one optimizer step, after a first one that makes the optimizer's state."""
    torch.set_num_threads(1)
    model, task = build(name, config)
    clock: list[float] = []
    steps = 1 + TIMED
    options = replace(lesson.options, steps=steps, log_every=1, warmup_steps=0)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        rows = corpus_of(lesson.data, lesson.vocabulary).train
        fit(model, task, rows, None, options, Path(folder), observers=[lambda _: clock.append(time.process_time())])
    return (clock[steps - 1] - clock[0]) / TIMED
