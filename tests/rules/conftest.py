"""Logs of other people's runs in memory, and what the rules for curves say of them."""

from __future__ import annotations

import pytest

from cognate.case.case import Case
from cognate.discovery import all_rules, load_skills
from cognate.rules.runner import run_rules

JUDGES = [rule for rule in all_rules(load_skills()) if rule.family in ("LOSS", "EVAL", "OPT", "GRAD", "NUM")]


def _said(rows, training="", unit="step"):
    """What the rules for curves say of a log, as (rule, severity)."""
    log = {"step_unit": unit, **({"training": training} if training else {})}
    outcomes = run_rules(JUDGES, Case.of(info={"origin": "a log", "log": log}, metrics=rows))
    assert not [outcome for outcome in outcomes if outcome.status == "crashed"]
    return {(o.rule.name, (f.severity or o.rule.severity).value) for o in outcomes for f in o.findings}


def _log(losses, validation=(), rate=None, **user):
    """Rows of a log: a loss at each point, validation losses spread over them, a learning rate by the share of the run."""
    count = len(losses)
    rows = [{"step": 10 * at, "loss": loss} for at, loss in enumerate(losses)]
    for at, row in enumerate(rows):
        row.update({"lr": rate(at / count)} if rate else {}, **({"user": {k: v[at] for k, v in user.items()}} if user else {}))
    for at, value in enumerate(validation):
        rows[min(count - 1, (at + 1) * count // len(validation) - 1)]["val_loss"] = value
    return rows


@pytest.fixture(scope="session")
def said():
    """The function that judges rows."""
    return _said


@pytest.fixture(scope="session")
def log():
    """The function that makes rows."""
    return _log
