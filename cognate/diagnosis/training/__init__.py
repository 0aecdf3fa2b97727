"""What a run of `cognate train` shows of its trainer's six fixes, and its figures. A pure function of the case."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from cognate.case.case import Case
from cognate.diagnosis.model import Training
from cognate.diagnosis.training import learning, steps
from cognate.diagnosis.training.claim import at, plain
from cognate.diagnosis.training.figures import figures
from cognate.diagnosis.training.run import Run, mappings
from cognate.rules.model import Outcome

NAMED = 5  # bad rows that are named
FIXES = (
    learning.validation,
    learning.accumulation,
    steps.learning_rates,
    learning.balance,
    learning.halting,
    steps.early_stopping,
    steps.schedule,
    steps.clipping,
)


def training(case: Case, outcomes: Iterable[Outcome]) -> Training | None:
    """The training of `case`, with the rules' `outcomes` on it; None where it holds no report of the reference trainer."""
    reported = cast("dict[str, Any] | None", case.training)
    if reported is None:
        return None
    run = Run(case, outcomes)
    bad = mappings(at(reported, "data.bad_rows"))[:NAMED]
    return Training(
        features=tuple(judge(run).feature() for judge in FIXES),
        figures=figures(reported),
        bad_rows=tuple(f"{plain(row.get('where'))}: {plain(row.get('reason'))}" for row in bad),
        reported=reported,
    )
