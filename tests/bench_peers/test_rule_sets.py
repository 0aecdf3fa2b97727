"""The two rule sets of published thresholds, on recordings made up for one condition each."""

from __future__ import annotations

import math
from typing import Any

import pytest

from benchmarks.peers import autotrainer_style, sagemaker_style
from benchmarks.peers.losslint_peer import recorded
from cognate.case.case import Case

NAMES = ("first.weight", "last.weight")


def case(losses: list[float | None], layers: list[dict[str, Any]] | None = None, printed: tuple[str, ...] = ()) -> Case:
    """A recording with two matrices of a hundred elements, one loss a step, and printed lines at even distances."""
    metrics = [
        {"step": n, "loss": loss, **({} if loss is not None else {"nonfinite": {"loss": "nan"}})} for n, loss in enumerate(losses)
    ]
    parameters = [{"name": name, "shape": [10, 10], "numel": 100} for name in NAMES]
    events = [
        {"kind": "print", "n": n, "step": len(losses) * (n + 1) // len(printed), "stream": "stdout", "text": text}
        for n, text in enumerate(printed)
    ]
    return Case.of(metrics=metrics, layers=layers or [], events=events, model={"roots": [{"parameters": parameters}]})


def layer(
    step: int, gradients: tuple[float | None, float | None] = (1.0, 1.0), update: float = 1e-3, **activation: Any
) -> dict[str, Any]:
    return {
        "step": step,
        "grad_norm": dict(zip(NAMES, gradients, strict=True)),
        "param_norm": dict.fromkeys(NAMES, 5.0),
        "update_ratio": dict.fromkeys(NAMES, update),
        "activation": {"act": activation} if activation else {},
    }


FALLING = [2.0 * 0.98**n for n in range(60)]


def test_a_healthy_run_is_left_alone() -> None:
    healthy = case(FALLING, [layer(step) for step in range(0, 60, 5)])
    assert sagemaker_style.said(healthy) == []
    assert autotrainer_style.said(healthy) == []


@pytest.mark.parametrize(
    ("rule", "losses", "layers"),
    [
        ("LossNotDecreasing", [1.0] * 60, [layer(0)]),
        ("ExplodingTensor", [*FALLING, None], [layer(0)]),
        ("VanishingGradient", FALLING, [layer(30, (1e-7, 1.0))]),
        ("AllZero", FALLING, [layer(30, (0.0, 1.0))]),
        ("WeightUpdateRatio", FALLING, [layer(30, update=11.0)]),
        ("UnchangedTensor", FALLING, [layer(step, update=1e-6) for step in (30, 31, 32)]),
        ("DeadRelu", FALLING, [layer(30, cls="ReLU", dead=0.6)]),
        ("SaturatedActivation", FALLING, [layer(30, cls="Tanh", saturated=0.6)]),
    ],
)
def test_sagemaker_style_fires_at_its_published_threshold(
    rule: str, losses: list[float | None], layers: list[dict[str, Any]]
) -> None:
    assert rule in {finding.id for finding in sagemaker_style.said(case(losses, layers))}


@pytest.mark.parametrize(
    ("problem", "losses", "layers", "printed"),
    [
        ("explode", [*FALLING, None], [layer(0)], ()),
        ("explode", FALLING, [layer(0), layer(50, (71.0, 1.0))], ()),
        ("vanish", FALLING, [layer(0), layer(50, (1e-5, 1.0))], ()),
        ("relu", FALLING, [layer(0), layer(50, (0.0, 0.0))], ()),
        ("not_converge", FALLING, [layer(0), layer(50)], tuple(f"epoch {n}: val acc 0.50{n}" for n in range(6))),
        (None, FALLING, [layer(0), layer(50, (1e-5, 1.0))], tuple(f"epoch {n}: val acc 0.{n + 4}0" for n in range(6))),
    ],
)
def test_autotrainer_style_names_one_problem(
    problem: str | None, losses: list[float | None], layers: list[dict[str, Any]], printed: tuple[str, ...]
) -> None:
    assert [finding.id for finding in autotrainer_style.said(case(losses, layers, printed))] == ([problem] if problem else [])


def test_the_file_made_for_losslint_keeps_what_was_not_finite() -> None:
    lines = recorded(case([1.0, None])).splitlines()
    assert lines[0] == '{"step": 0, "loss": 1.0}'
    assert math.isnan(float(lines[1].split('"loss": ')[1].rstrip("}")))
