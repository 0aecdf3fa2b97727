"""The training loop.

    join the processes that the launcher started
    build optimizers and schedules; where the run is resumed, restore weights, optimizers, early stopping, random generators
    for each optimizer step:
        fetch this process's micro-batches          # a pure function of seed and step: stream.py
        agree on scored tokens and interruption     # one small all-reduce, on the CPU
        if interrupted: leave
        for each micro-batch:                       # accumulate.py
            loss = sum over scored tokens / scored tokens of the whole effective batch
            backward                                # gradients travel with the last one
        norm = clip by global norm                  # the unclipped norm is kept; not finite: stop, nothing is saved
        optimizers step, schedules step, gradients are cleared
        if to be logged:    journal, display, observers
        if to be evaluated: validation loss; is it the best? is patience exhausted?
        if to be saved, or the best, or the end: save, prune
        patience is exhausted: leave
    save what is not yet saved; say how it ended

Between logged steps nothing asks a GPU for a value. On the CPU, where that is free, every norm is checked before it is used.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cognate.train import optim
from cognate.train.accumulate import Scored
from cognate.train.distributed import Group, joined
from cognate.train.evaluate import evaluate
from cognate.train.keeper import Keeper
from cognate.train.options import TrainOptions
from cognate.train.protocols import Observer, Rows, Task
from cognate.train.report import Reporter
from cognate.train.signals import Interruption
from cognate.train.stopping import EarlyStopping
from cognate.train.stream import Stream
from cognate.train.update import DivergedError, Update

__all__ = ["DivergedError", "Outcome", "fit"]

FINISHED, STOPPED_EARLY = "finished", "early stopping"


@dataclass(frozen=True)
class Outcome:
    """How a run ended. It is worth an exit status of 0, whatever ended it."""

    reason: str  # "finished", "early stopping", or the name of the signal
    step: int  # optimizer steps that are done
    tokens: int  # scored tokens trained on, resumed parts included
    seconds: float  # time spent in training steps, resumed parts included
    loss: float | None  # of the last logged step
    validation: dict[str, float] | None  # the last evaluation, by name
    best_loss: float | None
    best_step: int | None
    last: Path | None  # checkpoint folders
    best: Path | None


def fit(
    model: nn.Module,
    task: Task,
    train: Rows,
    validation: Rows | None,
    options: TrainOptions,
    run: Path,
    *,
    group: Group | None = None,
    resume: Path | None = None,
    files: Mapping[str, bytes] | None = None,
    observers: Sequence[Observer] = (),
) -> Outcome:
    """Train `model` in place on `task` and leave journal and checkpoints in the folder `run`.

    `group`: the processes, where the caller has joined them already. `resume`: a checkpoint, or a run whose last one is meant.
    `files`: kept beside each checkpoint, by name. `observers` see each record of the journal. Raises UsageError for data, options
    or a folder that do not fit, CheckpointError where a checkpoint cannot be written or read, DivergedError for gradients that
    are not finite.
    """
    with ExitStack() as stack:
        group = group or stack.enter_context(joined(options.device))
        stack.enter_context(_deterministic(options.deterministic))
        trainer = Trainer(
            model.to(group.device).train(), task, train, validation, options, group, Keeper(run, group, files or {})
        )
        trainer.begin(resume)
        reporter = Reporter(run, options, group, trainer.step, task.shown, observers)
        stack.callback(reporter.close)
        interruption = stack.enter_context(Interruption(announce=group.writes))
        return trainer.run(reporter, interruption)


@contextmanager
def _deterministic(wanted: bool) -> Iterator[None]:
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(wanted or before)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


class Stopwatch:
    """Seconds spent in training steps, without evaluation, saving and reporting."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._since: float | None = None

    def start(self) -> None:
        """Count from now."""
        self._since = time.perf_counter()

    def stop(self) -> None:
        """Count until now."""
        if self._since is not None:
            self.seconds += time.perf_counter() - self._since
            self._since = None


class Trainer:
    """The state of a run, and its steps."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        train: Rows,
        validation: Rows | None,
        options: TrainOptions,
        group: Group,
        keeper: Keeper,
    ) -> None:
        self.model, self.task, self.options, self.group, self.keeper = model, task, options, group, keeper
        self.stream = Stream(train, options, group.rank, group.world)
        self.validation = validation if validation is not None and len(validation) else None
        self.stopping = EarlyStopping(options.patience, options.minimum_delta)
        self.watch = Stopwatch()
        self.step = self.tokens = 0
        self.loss: float | None = None
        self.validated: dict[str, float] | None = None

    def begin(self, resume: Path | None) -> None:
        """Prepare the first step, or the one after `resume`."""
        optimizers = optim.build(self.model, self.options)
        state = self.keeper.begin(self.model, optimizers, self.options, resume)
        if state is not None:
            self.step, self.tokens, self.watch.seconds = state["step"], state["tokens"], state["seconds"]
            self.stopping.restore(state["stopping"])
        self.logged = (self.watch.seconds, self.tokens)  # at the last logged step: the rate is of the steps since
        self.keeper.clear(self.stopping.best_step)
        if self.options.compile:
            self.model.compile()  # in place: the names of the parameters stay
        self.update = Update(self.model, self.task, self.options, self.group, optimizers, self.step, self.keeper.run)
        self.keeper.restore_randomness(state, self.options.seed)

    def run(self, reporter: Reporter, interruption: Interruption) -> Outcome:
        """Take the steps that are left."""
        options, reason, saved = self.options, FINISHED, self.step
        self.watch.start()
        while self.step < options.steps and not self.stopping.exhausted:
            batches = self.stream.batches(self.step)
            tokens, interrupted = self._agree(batches, interruption)
            if interrupted:
                reason = interruption.received or "a signal to another process"
                break
            sums, norm = self.update.take(batches, tokens)
            self.step += 1
            self.tokens += tokens
            if self.step == 1 or self._due(options.log_every):
                self._log(reporter, sums, tokens, norm)
            improved = (
                self.validation is not None and self._due(options.evaluate_every) and self._evaluate(self.validation, reporter)
            )
            if improved or self.stopping.exhausted or self._due(options.checkpoint_every):
                self._save(reporter, improved)
                saved = self.step
        if self.stopping.exhausted and self.step < options.steps:
            reason = STOPPED_EARLY
        if saved != self.step:
            self._save(reporter, best=False)
        self.watch.stop()
        outcome = self._outcome(reason)
        reporter.end({"step": self.step, "ended": reason}, _sentence(outcome, options.steps))
        return outcome

    def _agree(self, batches: Sequence[Any], interruption: Interruption) -> tuple[int, int]:
        """The scored tokens of the effective batch, and how many processes were asked to end."""
        tokens, interrupted = sum(map(self.task.weight, batches)), int(interruption.received is not None)
        if self.group.world > 1:
            tokens, interrupted = self.group.sum_counts(tokens, interrupted)
        return tokens, interrupted

    def _due(self, interval: int) -> bool:
        """Whether something that is done every `interval` steps, and at the end, is to be done now."""
        return self.step == self.options.steps or (interval > 0 and self.step % interval == 0)

    def _log(self, reporter: Reporter, sums: Scored, tokens: int, norm: Tensor) -> None:
        """Read what the step measured, which is the one place that waits for a GPU, and pass it on."""
        loss, statistics = sums
        table = self.group.sum(torch.stack([loss.float(), *(value.float() for value in statistics.values())]))
        self.loss, *values = (table / max(1, tokens)).tolist()
        self.update.check()
        self.watch.stop()
        grad_norm, limit = norm.item(), self.options.clip_norm
        seconds, trained = self.watch.seconds - self.logged[0], self.tokens - self.logged[1]
        self.logged = (self.watch.seconds, self.tokens)
        reporter.record(
            {
                "step": self.step,
                "loss": self.loss,
                "grad_norm": grad_norm,
                "clipped": limit is not None and grad_norm > limit,
                "lr": self.update.learning_rate,
                "tokens_per_second": trained / max(seconds, 1e-9),
                "tokens": self.tokens,
                "seconds": round(self.watch.seconds, 6),
                **dict(zip(statistics, values, strict=True)),
            }
        )
        self.watch.start()

    def _evaluate(self, rows: Rows, reporter: Reporter) -> bool:
        """Measure the validation rows; whether their loss is the lowest so far."""
        self.update.check()
        self.watch.stop()
        precision = self.update.gradient.autocast()
        found = evaluate(self.model, self.task, rows, self.options.micro_batch, self.group, precision)
        improved = self.stopping.update(self.step, found["loss"])
        named = {f"val_{name}": value for name, value in found.items()}
        reporter.record({"step": self.step, "val_loss": named.pop("val_loss"), **named, "best": improved})
        self.validated = found
        self.watch.start()
        return improved

    def _save(self, reporter: Reporter, best: bool) -> None:
        self.update.check()
        self.watch.stop()
        reporter.sync()
        progress = {"step": self.step, "tokens": self.tokens, "seconds": self.watch.seconds, "stopping": self.stopping.state()}
        self.keeper.save(progress, self.options, best)
        self.watch.start()

    def _outcome(self, reason: str) -> Outcome:
        last, best = self.keeper.pointed_at("last"), self.keeper.pointed_at("best")
        counts = (self.step, self.tokens, self.watch.seconds, self.loss, self.validated)
        return Outcome(reason, *counts, self.stopping.best, self.stopping.best_step, last, best)


def _sentence(outcome: Outcome, steps: int) -> str:
    """How the run ended, for a person."""
    best = "" if outcome.best_loss is None else f" Lowest validation loss {outcome.best_loss:.4f} at step {outcome.best_step}."
    kept = f"{best} Saved in {outcome.last}."
    if outcome.reason == FINISHED:
        return f"Finished {outcome.step} steps.{kept}"
    if outcome.reason == STOPPED_EARLY:
        return f"Stopped early at step {outcome.step} of {steps}, as the validation loss no longer fell.{kept}"
    return f"{outcome.reason}: stopped after step {outcome.step} of {steps} and saved; go on with --resume {outcome.last}."
