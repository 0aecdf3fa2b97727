"""The presets hold what they promise, to the parameter."""

from __future__ import annotations

import pytest

from cognate.errors import UsageError
from cognate.model.config import PRESETS, SPECIALISATIONS, ModelConfig, preset
from cognate.model.model import CognateModel, parameter_parts


def test_phase1_has_the_parameters_of_the_seed_part_by_part() -> None:
    model = CognateModel(preset("phase1"))
    assert parameter_parts(model) == {
        "embeddings": 13_390_080,
        "backbone": 10_655_360,
        "recursion": 1_577_984,
        "halting head": 257,
    }
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_623_681


@pytest.mark.parametrize(("name", "least", "most"), [("tiny", 400_000, 700_000), ("small", 4_000_000, 6_000_000)])
def test_small_presets_have_their_size_and_every_mechanism(name: str, least: int, most: int) -> None:
    model = CognateModel(preset(name))
    assert least < sum(parameter_parts(model).values()) < most
    assert model.config.steps >= 2
    assert model.config.micro_steps >= 2
    assert all(parameter_parts(model).values())


def test_parts_count_every_parameter_once() -> None:
    for name in ("tiny", "small"):
        model = CognateModel(preset(name))
        assert sum(parameter_parts(model).values()) == sum(parameter.numel() for parameter in model.parameters())


def test_specialisations_differ_in_threshold_seed_and_horizon_alone() -> None:
    plain = preset("tiny").to_dict()
    for name in SPECIALISATIONS:
        changed = {key for key, value in preset("tiny", name).to_dict().items() if value != plain[key]}
        assert changed <= {"halting_threshold", "seed", "memory_horizon"}
    horizons = {name: preset("tiny", name).memory_horizon for name in SPECIALISATIONS}
    assert max(horizons, key=horizons.__getitem__) == "memory"
    thresholds = {name: preset("tiny", name).halting_threshold for name in SPECIALISATIONS}
    assert max(thresholds, key=thresholds.__getitem__) == "reasoning"
    assert min(thresholds, key=thresholds.__getitem__) == "speed"


def test_a_config_survives_being_written_down() -> None:
    for config in PRESETS.values():
        assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 32}, "does not divide"),
        ({"steps": 2}, "one for each answer"),
        ({"layers": 0}, "above zero"),
        ({"halting_threshold": 1.5}, "probability"),
    ],
)
def test_a_shape_that_cannot_be_is_one_sentence(changes: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        preset("tiny", None, **changes)


def test_unknown_names_say_which_exist() -> None:
    with pytest.raises(UsageError, match="tiny, small, phase1"):
        preset("huge")
    with pytest.raises(UsageError, match="reasoning, memory, speed"):
        preset("tiny", "wise")
    with pytest.raises(UsageError, match="colour"):
        ModelConfig.from_dict({"colour": 3})
