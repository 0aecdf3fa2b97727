"""The shape of the reference model: presets, specialisations, and the parameter count they imply."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

from cognate.errors import UsageError


@dataclass(frozen=True)
class ModelConfig:
    """Every number that shapes the model. Widths are features, the window and the horizon are tokens."""

    vocabulary: int = 50_257
    positions: int = 2_048
    width: int = 256
    layers: int = 10
    heads: int = 8
    feed_forward: int = 1_024
    window: int = 512  # a token attends to itself and the window - 1 tokens before it
    memory_width: int = 128
    memory_horizon: float = 256.0  # tokens after which a memory has decayed to 1/e
    steps: int = 3  # outer steps of the recursion: it gives steps + 1 answers, the first before any refinement
    micro_steps: int = 2
    supervision: tuple[float, ...] = (0.33, 0.5, 0.75, 1.0)  # weight of each answer in the loss
    halting_threshold: float = 0.6  # inference stops at the first answer where the probability of having halted reaches it
    seed: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in ("supervision", "seed") and not value > 0:
                raise UsageError(f"The model's {field.name} is {value}: it must be above zero.")
        if self.width % self.heads:
            raise UsageError(f"A width of {self.width} does not divide into {self.heads} heads: choose a multiple.")
        if len(self.supervision) != self.answers:
            raise UsageError(
                f"{self.steps} recursion steps give {self.answers} answers, "
                f"but `supervision` holds {len(self.supervision)} weights: give one for each answer."
            )
        if not 0 < self.halting_threshold <= 1:
            raise UsageError(f"The halting threshold is {self.halting_threshold}: it is a probability, above 0 and up to 1.")

    @property
    def answers(self) -> int:
        """How many answers the recursion gives: the initial one and one a step."""
        return self.steps + 1

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as they are kept beside a checkpoint."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The config that `to_dict` described. Raises UsageError where a name is unknown or a value does not fit."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise UsageError(f"The model's configuration holds {', '.join(unknown)}, which this version does not know.")
        values = dict(values)
        if "supervision" in values:
            values["supervision"] = tuple(values["supervision"])
        try:
            return cls(**values)
        except TypeError as error:
            raise UsageError(f"The model's configuration does not fit: {error}.") from error


PRESETS: dict[str, ModelConfig] = {
    # The two small ones keep every mechanism, and a vocabulary of the size that a tokenizer of their own would have.
    "tiny": ModelConfig(
        vocabulary=512,
        positions=256,
        width=80,
        layers=4,
        heads=5,
        feed_forward=216,
        window=128,
        memory_width=40,
        memory_horizon=64.0,
    ),
    "small": ModelConfig(
        vocabulary=4_096,
        positions=1_024,
        width=192,
        layers=6,
        heads=6,
        feed_forward=512,
        window=256,
        memory_width=96,
        memory_horizon=128.0,
    ),
    "phase1": ModelConfig(),
}

# Three characters of one architecture: they differ in when they stop thinking, in the seed, and in how long they remember.
# `horizon` multiplies the preset's own.
SPECIALISATIONS: dict[str, dict[str, float]] = {
    "reasoning": {"halting_threshold": 0.9, "seed": 1, "horizon": 1.0},
    "memory": {"halting_threshold": 0.6, "seed": 2, "horizon": 4.0},
    "speed": {"halting_threshold": 0.3, "seed": 3, "horizon": 0.5},
}


def preset(name: str, specialisation: str | None = None, **changes: Any) -> ModelConfig:
    """The preset `name`, with the character of `specialisation` and single `changes`. Raises UsageError for unknown names."""
    if name not in PRESETS:
        raise UsageError(f"There is no preset {name!r}: choose {', '.join(PRESETS)}.")
    config = PRESETS[name]
    if specialisation is not None:
        if specialisation not in SPECIALISATIONS:
            raise UsageError(f"There is no specialisation {specialisation!r}: choose {', '.join(SPECIALISATIONS)}.")
        character = SPECIALISATIONS[specialisation]
        config = replace(
            config,
            halting_threshold=character["halting_threshold"],
            seed=int(character["seed"]),
            memory_horizon=config.memory_horizon * character["horizon"],
        )
    return replace(config, **changes) if changes else config
