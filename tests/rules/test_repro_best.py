"""Checkpoints that are kept by comparison: the right way round, the wrong way, and by another score."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}
RISING = [0.50, 0.52, 0.55, 0.60, 0.66, 0.71]
FALLING = [0.90, 0.80, 0.85, 0.70, 0.60, 0.65]


def status(losses: list[float], kept: list[int], test: str) -> str:
    source = f"for epoch in range(9):\n    if {test}:\n        best = val_loss\n        torch.save(model.state_dict(), path)\n"
    site = {"file": "t.py", "line": 4, "function": "<module>"}
    case = Case.of(
        metrics=[{"step": 10 * i, "loss": 1.0, "val_loss": value} for i, value in enumerate(losses)],
        events=[{"kind": "checkpoint", "name": "save", "step": 10 * i, "n": i, "site": site} for i in kept],
        source={"t.py": source},
    )
    return run_rule(RULES["repro-best-metric-direction"], case).status


@pytest.mark.parametrize(
    ("losses", "kept", "test", "expected"),
    [
        (FALLING, [0, 1, 3, 4], "val_loss < best", "clear"),
        (RISING, [0, 2, 3, 4, 5], "val_loss > best", "fired"),
        (FALLING, [0], "val_loss > best_loss", "fired"),
        (RISING, [0], "val_loss < best", "clear"),
        (RISING, [0, 1, 2, 3, 4, 5], "accuracy > best", "clear"),
        (FALLING, [0, 1, 2, 3, 4, 5], "epoch % 1 == 0", "clear"),
        (FALLING, [5], "epoch == last", "clear"),
        (FALLING[:3], [0], "val_loss > best", "skipped"),
    ],
    ids=["right", "worst", "never again", "overfits from the start", "accuracy", "every epoch", "at the end", "too few"],
)
def test_what_is_kept_as_best(losses, kept, test, expected):
    assert status(losses, kept, test) == expected
