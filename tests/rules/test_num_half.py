"""Half precision that costs something and half precision that does not; seeds that are set and seeds that are not."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rule

RULES = {rule.name: rule for rule in all_rules(load_skills())}


def moments(dtype: str, **row: float) -> Case:
    optimizer = {"label": "optimizer#0", "cls": "AdamW", "groups": [], "state_dtypes": {"exp_avg_sq": {dtype: 4}}}
    rows = [{"step": s, "lr": 1e-3, "optimizer": "optimizer#0", **row} for s in range(10)]
    return Case.of(model={"roots": [{"parameters": []}], "optimizers": [optimizer]}, metrics=rows)


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (moments("bfloat16", unchanged_moments=0.9), "fired"),
        (moments("float16", unchanged_moments=0.1, zero_moments=0.8), "fired"),
        (moments("bfloat16", unchanged_moments=0.2), "clear"),
        (moments("float32"), "clear"),
        (moments("uint8"), "clear"),
    ],
    ids=["standing still", "underflown", "moving", "float32", "eight bits by design"],
)
def test_the_type_of_an_optimizers_state(case, status):
    assert run_rule(RULES["num-half-optimizer-state"], case).status == status


def test_a_step_in_float16_that_makes_weights_non_finite():
    case = moments("float16", unchanged_moments=0.0, grad_norm_at_step=0.1)
    onset = {"kind": "onset", "phase": "forward", "step": 3, "n": 1, "nonfinite_weights": ["body.weight"]}
    broken = Case.of(model=case.model, metrics=case.metrics, events=[onset])
    finding = run_rule(RULES["num-half-optimizer-state"], broken).findings[0]
    assert finding.severity is not None and finding.severity.value == "error" and finding.onset_step == 2


def losses(half: float | None, wide: float | None) -> Case:
    call = {"kind": "loss_call", "fn": "cross_entropy", "grad": True, "value": half}
    return Case.of(events=[call | {"step": s, "n": s} | ({"value_float32": wide} if wide else {}) for s in range(6)])


@pytest.mark.parametrize(
    ("case", "status"),
    [
        (losses(2.10, 2.0), "fired"),
        (losses(2.004, 2.0), "clear"),
        (losses(2.0, None), "clear"),
        (losses(float("nan"), 2.0), "clear"),
    ],
    ids=["off", "rounded", "float32", "NaN is another fault"],
)
def test_a_loss_in_half_precision(case, status):
    assert run_rule(RULES["num-loss-in-half"], case).status == status


def seeded(
    *libraries: str, source: str = "import torch\nmodel = Net()\n", steps: int = 30, restored: bool | None = False
) -> Case:
    events = [{"kind": "seed", "library": name, "seed": 0, "n": n, "step": 0} for n, name in enumerate(libraries)]
    events += [{"kind": "checkpoint", "name": "load", "n": 49, "step": 0, "holds": {"cpu": "rng"}}] * (restored is True)
    events += [{"kind": "checkpoint", "name": "load_rng", "n": 50, "step": 0}] * (restored is not False)
    return Case.of(
        info={"origin": "live", "integrity": {"steps_seen": steps}},
        events=events,
        metrics=[{"step": s, "loss": 1.0} for s in range(steps)],
        model={"roots": [{"cls": "Net", "parameters": [{"name": "w", "requires_grad": True}]}]},
        source={"train.py": source},
    )


SHUFFLES = "import random\nimport torch\nmodel = Net()\nrandom.shuffle(rows)\n"


@pytest.mark.parametrize(
    ("case", "severity"),
    [
        (seeded(), None),
        (seeded("numpy", "random"), None),
        (seeded(restored=None), None),
        (seeded("torch", source=SHUFFLES), "info"),
    ],
    ids=[
        "nothing",
        "all but torch",
        "a library that sets its random states aside",
        "torch alone, though the script shuffles by random",
    ],
)
def test_what_is_not_seeded(case, severity):
    outcome = run_rule(RULES["repro-seed-missing"], case)
    assert outcome.status == "fired"
    found = outcome.findings[0].severity
    assert (found.value if found else None) == severity


@pytest.mark.parametrize(
    "case",
    [
        seeded("torch"),
        seeded("torch", "random", source=SHUFFLES),
        seeded("torch", source="import random as r\nrandom = r.Random(0)\nrandom.shuffle(rows)\n"),
        seeded(restored=True),
        seeded(steps=3),
    ],
    ids=["torch", "all that is used", "a generator of its own", "states of a checkpoint", "no training"],
)
def test_what_needs_no_further_seed(case):
    assert run_rule(RULES["repro-seed-missing"], case).status in ("clear", "skipped")
