"""The model works only while it is fed the answers."""

from collections.abc import Iterator
from typing import Any

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.recursion import over_time
from cognate.rules.training import commonest_site, number, where

_SITE = {"file": "t.py", "line": 55, "function": "validate"}


def _parts(loss: float) -> dict:
    base = {"kind": "forward", "object": "model#0 Net", "inputs": [{"shape": [16, 9]}, {"shape": [16, 12]}], "site": _SITE}
    rows = [base | {"step": s, "n": 2 * s, "grad": s % 5 > 0, "training": True, "repeats": {"cell": 12}} for s in range(30)]
    differs = [{"name": "forcing", "training": 1.0, "evaluation": 0.0}]
    result = {"training": 0.3, "evaluation": loss, "by_mode": False, "differs": differs, "calls": {}}
    return {
        "events": rows,
        "probes": [{"probe": "evaluation_call", "status": "ok", "step": 100, "module": "Net", "result": result}],
    }


@rule(
    code="EVAL122",
    name="eval-teacher-forcing-gap",
    severity=Severity.WARNING,
    kind=Kind.CAUSE,
    needs={"probe.evaluation_call"},
    explains={"eval-overfit"},
    sources={
        "ratio": "taxonomy, eval-teacher-forcing-gap: three times the loss",
        "absolute": "our calibration: below half a nat of difference the next word is still the right one more often than not",
    },
    fires=Example(**_parts(2.4)),
    quiet=Example(**_parts(0.35)),
)
def eval_teacher_forcing_gap(case: Case, *, ratio: float = 3.0, absolute: float = 0.5) -> Iterator[Said]:
    """The decoder is good only while it is fed the right answers: on its own outputs, the same batch has several times the loss.

    Training feeds each step the true token before it (teacher forcing), evaluation the model's own. A gap of this size says that
    errors build up: the model has never seen its own mistakes. Mix in its own outputs as training goes on (scheduled sampling),
    or train longer. The same batch is tried both ways on a copy.
    """
    found = [p for p in case.probe("evaluation_call") if _feeding(case, p["result"])]
    if not found:
        yield Skip("training and evaluation do not differ in what a decoder is fed", "")
        return
    probe = found[-1]
    result = probe["result"]
    forced, free = result["training"], result["evaluation"]
    change = _feeding(case, result)
    if free <= ratio * forced or free - forced <= absolute:
        yield Clear(f"called as in evaluation, one batch has a loss of {number(free)}, against {number(forced)} as in training")
        return
    site = commonest_site(case.events("forward", grad=False))
    name = change["name"] if change else ""
    yield Finding(
        title=f"the model is good only while it is fed the answers: one batch has a loss of {number(forced)} as trained and "
        f"{number(free)} as evaluated at {where(site)} ({name}: {change['training']} and {change['evaluation']})",
        proof=Proof.EXPERIMENT,
        evidence=(
            Evidence("loss of one training batch: as trained, as evaluated", [forced, free], f"< {ratio:g} times", "probe"),
            Evidence("optimizer steps before it", probe["step"]),
        ),
        location=Location.of(site),
        onset_step=int(probe["step"]),
        fix=Fix(
            "Lower the share of true tokens as training goes on (scheduled sampling), and select by the free-running result."
        ),
    )


def _feeding(case: Case, result: dict[str, Any]) -> dict[str, Any]:
    """The argument that turns the feeding of answers off in evaluation, in a model over time; empty where there is none."""
    if result["by_mode"] or result["calls"]:
        return {}
    counts = {count for event in case.events("forward") for count in (event.get("repeats") or {}).values()}
    if not any(over_time(case, count) for count in counts if count >= 3):
        return {}
    for change in result["differs"]:
        before, after = change["training"], change["evaluation"]
        share = isinstance(before, float) and 0 < before <= 1 and after == 0
        if share or (before is True and after is False) or (before in (1, "not given") and after is not True and after == 0):
            return dict(change)
    return {}
