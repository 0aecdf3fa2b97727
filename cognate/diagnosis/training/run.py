"""One run of `cognate train` as its case shows it: what the trainer reported, what the recorder saw, what the rules said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cognate.case.case import Case
from cognate.diagnosis.training.claim import MOST, Claim, plain, real
from cognate.rules.model import Outcome

# Rules whose finding contradicts a fix.
RULES = {
    "validation": ("eval-split-overlap", "eval-validation-constant"),
    "accumulation": ("grad-accum-scaling", "grad-accum-boundary"),
    "rates": ("opt-lr-too-high",),
    "balance": ("model-parameter-imbalance",),
    "halting": ("act-halting-head-no-grad", "act-halt-saturate-max", "act-halt-collapse-min", "act-steps-constant"),
    "stopping": (),
    "schedule": ("opt-sched-before-opt", "opt-sched-horizon-mismatch", "opt-sched-never-stepped"),
    "clipping": ("grad-clip-ineffective",),
}


class Run:
    """One run: what the trainer reported, what the recorder saw, what the rules said."""

    def __init__(self, case: Case, outcomes: Iterable[Outcome]) -> None:
        self.case, self.values = case, case.training
        self.outcomes = {outcome.rule.name: outcome for outcome in outcomes}

    def claim(self, fix: int, name: str, rules: str) -> Claim:
        """A claim that the rules have had their say on."""
        claim = Claim(fix, name, self.values)
        for rule in RULES[rules]:
            outcome = self.outcomes.get(rule)
            for finding in outcome.findings if outcome else ():
                claim.fault(f"{rule}: {plain(finding.title)}")
        return claim

    def steps(self) -> list[tuple[int, Mapping[str, Any]]]:
        """The recorder's rows with the trainer's number of their step. Each optimizer has a row of its own in a step."""
        rows: dict[str, list[Mapping[str, Any]]] = {}
        for row in self.case.metrics:
            rows.setdefault(str(row.get("optimizer")), []).append(row)
        done = real((self.values or {}).get("steps"))
        numbered = []
        for own in rows.values():
            # A resumed run records its last part alone.
            before = max(0, int(done) - len(own)) if done is not None and done < MOST else 0
            numbered += [(before + index, row) for index, row in enumerate(own, start=1)]
        return numbered


def mappings(value: Any) -> list[Mapping[str, Any]]:
    """The mappings in a list that came from a file; nothing where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
