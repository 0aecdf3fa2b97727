"""How a run is trained: plain values, checked when they are set."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any

from cognate.errors import UsageError

OPTIMIZERS = ("adamw", "muon")
PRECISIONS = ("fp32", "bf16")
# What decides which rows a step sees and which state the optimizer keeps: a resumed run cannot change these.
FIXED_BY_A_RUN = ("effective_batch", "seed", "optimizer")


@dataclass(frozen=True)
class TrainOptions:
    """One run. Steps are optimizer steps, batches are counted in rows, and 0 switches an interval or a patience off."""

    steps: int = 1_000
    micro_batch: int = 8  # rows in one forward pass of one process
    effective_batch: int = 64  # rows in one optimizer step, over all micro-batches and processes
    learning_rate: float = 3e-4
    min_lr_ratio: float = 0.1  # the cosine ends at this share of the learning rate
    warmup_steps: int | None = None  # None: a tenth of the steps, 500 at the most
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float | None = 1.0  # None: the norm is recorded and nothing is clipped
    optimizer: str = "adamw"
    muon_learning_rate: float | None = None  # None: `learning_rate`, because the update is scaled to AdamW's size
    precision: str = "fp32"
    compile: bool = False
    device: str = "auto"  # auto: a GPU where there is one
    evaluate_every: int = 100  # the end is always evaluated
    patience: int = 5  # evaluations without improvement before the run stops
    minimum_delta: float = 0.0  # a validation loss must fall by more than this to count as an improvement
    checkpoint_every: int = 500  # the end and each new best are always saved
    keep_last: int = 2  # checkpoints that stay, besides the best
    log_every: int = 10
    seed: int = 0
    deterministic: bool = False  # ask PyTorch for deterministic kernels, and fail where there are none

    def __post_init__(self) -> None:
        for name in ("steps", "micro_batch", "effective_batch", "learning_rate", "keep_last", "log_every"):
            self._require(name, getattr(self, name) > 0, "it must be above zero")
        for name in ("weight_decay", "evaluate_every", "patience", "minimum_delta", "checkpoint_every", "seed"):
            self._require(name, getattr(self, name) >= 0, "it must be zero or more")
        for name in ("learning_rate", "weight_decay", "minimum_delta"):
            self._require(name, math.isfinite(getattr(self, name)), "it must be finite")
        for name in ("clip_norm", "muon_learning_rate"):
            value = getattr(self, name)
            self._require(name, value is None or (value > 0 and math.isfinite(value)), "it must be above zero, or left out")
        self._require("min_lr_ratio", 0 <= self.min_lr_ratio <= 1, "it is a share, from 0 to 1")
        self._require(
            "betas", len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas), "both must be from 0 to below 1"
        )
        self._require("optimizer", self.optimizer in OPTIMIZERS, f"choose {' or '.join(OPTIMIZERS)}")
        self._require("precision", self.precision in PRECISIONS, f"choose {' or '.join(PRECISIONS)}")
        self._require("warmup_steps", 0 <= self.warmup <= self.steps, f"it must be from 0 to the {self.steps} steps of the run")
        self._require("effective_batch", self.effective_batch % self.micro_batch == 0, self._batch_advice(1))

    def _require(self, name: str, holds: bool, advice: str) -> None:
        if not holds:
            raise UsageError(f"The training option {name} is {getattr(self, name)}: {advice}.")

    def _batch_advice(self, processes: int) -> str:
        return f"it must be a multiple of the {self.micro_batch * processes} rows that {processes} process(es) take at once"

    @property
    def warmup(self) -> int:
        """Steps of linear warm-up."""
        return min(500, self.steps // 10) if self.warmup_steps is None else self.warmup_steps

    def accumulate(self, processes: int) -> int:
        """Micro-batches of each process in one optimizer step. Raises UsageError where the effective batch does not divide."""
        self._require(
            "effective_batch", self.effective_batch % (self.micro_batch * processes) == 0, self._batch_advice(processes)
        )
        return self.effective_batch // (self.micro_batch * processes)

    def check_resumable(self, saved: dict[str, Any]) -> None:
        """Raise UsageError where a run that was saved with the options `saved` cannot go on with these."""
        for name in FIXED_BY_A_RUN:
            if name in saved and saved[name] != getattr(self, name):
                raise UsageError(
                    f"The checkpoint was trained with {name} {saved[name]} and this run asks for {getattr(self, name)}: "
                    "resume with the same value, or start a new run."
                )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are kept in a checkpoint."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> TrainOptions:
        """The options that `to_dict` described. Raises UsageError where a name is unknown or a value does not fit."""
        unknown = sorted(set(values) - {field.name for field in fields(cls)})
        if unknown:
            raise UsageError(f"The training options hold {', '.join(unknown)}, which this version does not know.")
        values = dict(values)
        try:
            if "betas" in values:
                values["betas"] = tuple(values["betas"])
            return cls(**values)
        except TypeError as error:
            raise UsageError(f"The training options do not fit: {error}.") from error
