"""One run of the reference trainer, described by plain values: what `cognate train` asks for, and what a checkpoint remembers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cognate.errors import UsageError
from cognate.model.config import ModelConfig, preset
from cognate.train.data.document import DataOptions
from cognate.train.options import TrainOptions

FILE = "job.json"


@dataclass(frozen=True)
class Job:
    """Model, data, training and the check at the end. A run folder and each of its checkpoints hold one as JSON."""

    model: ModelConfig
    data: DataOptions
    training: TrainOptions
    preset: str = "phase1"
    specialisation: str | None = None
    problems: int = 300  # held-out problems solved at the end, where the data has such

    def __post_init__(self) -> None:
        if self.data.sequence > self.model.positions:
            raise UsageError(
                f"A sequence of {self.data.sequence} tokens is longer than the model's {self.model.positions} positions: "
                f"give --sequence {self.model.positions} or less, or a preset with more positions."
            )

    def to_json(self) -> str:
        """The job as it is kept in files."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str | bytes, where: Path) -> Job:
        """The job that `to_json` wrote. Raises UsageError naming the file `where` if it is something else."""
        try:
            values: dict[str, Any] = json.loads(text)
            return cls(
                ModelConfig.from_dict(values.pop("model")),
                DataOptions(**values.pop("data")),
                TrainOptions.from_dict(values.pop("training")),
                **values,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{where} does not describe a training run ({error}): name a run of `cognate train`.") from error


@dataclass(frozen=True)
class Defaults:
    """What suits a preset, where the user says nothing."""

    sequence: int
    micro_batch: int
    learning_rate: float
    steps: int
    other: dict[str, Any] = field(default_factory=dict)


# Learning rates fall with the size of the model, as in Kaplan et al. 2020 (arXiv:2001.08361, appendix D.6).
DEFAULTS = {
    # Solves `arithmetic` in ten minutes of two cores: many small steps teach it more than few large ones.
    "tiny": Defaults(
        sequence=128, micro_batch=8, learning_rate=3e-3, steps=1_800, other={"effective_batch": 16, "evaluate_every": 300}
    ),
    "small": Defaults(sequence=256, micro_batch=16, learning_rate=1e-3, steps=2_000),
    "phase1": Defaults(sequence=64, micro_batch=16, learning_rate=3e-4, steps=1_000),
}
SYNTHETIC_SEQUENCE = 32  # random tokens hold nothing that a longer row could show


def make(
    preset_name: str,
    specialisation: str | None,
    model: dict[str, Any],
    data: dict[str, Any],
    training: dict[str, Any],
    problems: int,
) -> Job:
    """A job from what the user said; whatever is None takes the preset's value. Raises UsageError for values that do not fit."""
    config = preset(preset_name, specialisation, **_said(model))
    usual = DEFAULTS[preset_name]
    trained = {
        "steps": usual.steps,
        "micro_batch": usual.micro_batch,
        "learning_rate": usual.learning_rate,
        "seed": config.seed,
        **usual.other,
        **_said(training),
    }
    if "micro_batch" not in _said(training) and "effective_batch" in trained:
        # A batch that is smaller than the usual micro-batch is one micro-batch.
        trained["micro_batch"] = min(trained["micro_batch"], trained["effective_batch"])
    config = replace(config, seed=trained["seed"])
    usual_sequence = SYNTHETIC_SEQUENCE if data["source"] == "synthetic" else usual.sequence
    read = {"sequence": min(usual_sequence, config.positions), "seed": trained["seed"], **_said(data)}
    return Job(config, DataOptions(**read), TrainOptions(**trained), preset_name, specialisation, problems)


def _said(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
