"""optimizer.step() is called and nothing changes."""

from __future__ import annotations

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, share, where


def _metrics(unchanged: int) -> list[dict]:
    row = {"lr": 0.1, "grad_norm_at_step": 1.0, "tensors": 4, "unchanged_tensors": unchanged}
    return [{"step": i, **row} for i in range(20)]


@rule(
    code="OPT123",
    name="opt-step-no-effect",
    severity=Severity.ERROR,
    kind=Kind.SYMPTOM,
    needs={"metrics.unchanged_tensors"},
    sources={
        "least": "known trap, step-0 artefacts: a rate of 0 at the first warm-up step; look at several steps with a rate above 0",
        "often": "our calibration: single steps whose updates all round away happen at the end of a schedule",
    },
    fires=Example(metrics=_metrics(4)),
    quiet=Example(metrics=_metrics(0)),
)
def opt_step_no_effect(case: Case, *, least: int = 5, often: float = 0.8) -> Iterator[Said]:
    """The optimizer steps with gradients and a learning rate above zero, and no parameter changes.

    Usual reasons: weights in half precision whose updates round away, a step that writes to copies, parameters that were
    replaced or restored behind the optimizer, an optimizer of one's own that does not work in place.
    """
    rows = [r for r in case.metrics if r.get("tensors") and (r.get("lr") or 0) > 0 and (r.get("grad_norm_at_step") or 0) > 0]
    if len(rows) < least:
        yield Skip(f"fewer than {least} steps with gradients and a rate above 0 were looked at", "run more steps")
        return
    still = share(r["unchanged_tensors"] == r["tensors"] for r in rows if "unchanged_tensors" in r)
    if still < often:
        yield Clear(f"parameters changed in {1 - still:.0%} of {len(rows)} steps looked at")
        return
    site = commonest_site(case.events("call", name="step"))
    yield Finding(
        title=f"optimizer.step() at {where(site)} changes nothing: in {still:.0%} of {len(rows)} steps looked at, no parameter "
        "moved, although gradients and learning rate were above zero",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("steps after which every parameter was as before", f"{still:.0%}", "0 %", "metrics.jsonl"),),
        location=Location.of(site),
        onset_step=0,
    )
