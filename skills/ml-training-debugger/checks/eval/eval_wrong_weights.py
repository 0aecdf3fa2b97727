"""The best weights were kept by reference."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import where


def _events(shared: int) -> list[dict]:
    base = {"kind": "checkpoint", "object": "model#0 Net", "step": 80}
    return [
        base | {"name": "state_dict", "site": {"file": "t.py", "line": 30}, "step": 40},
        base | {"name": "load_state_dict", "tensors": 6, "shares_live_storage": shared, "site": {"file": "t.py", "line": 60}},
    ]


@rule(
    code="EVAL105",
    name="eval-wrong-weights",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.checkpoint"},
    fires=Example(events=_events(6)),
    quiet=Example(events=_events(0)),
)
def eval_wrong_weights(case: Case) -> Iterator[Said]:
    """The best weights were kept by reference: state_dict() without a copy follows the live model, so restoring it does nothing.

    state_dict() returns the live tensors. Kept over further training it holds the last weights, not the best ones, and
    load_state_dict of it is a no-op; the test result is that of the final, often overfitted model.
    """
    loads = case.events("checkpoint", name="load_state_dict")
    wrong = [e for e in loads if e.get("tensors") and e.get("shares_live_storage", 0) >= 0.5 * e["tensors"]]
    if not wrong:
        yield Clear(f"{len(loads)} loads of weights, none from the live tensors themselves")
        return
    load = wrong[0]
    taken = [
        e for e in case.events("checkpoint", name="state_dict") if e["object"] == load["object"] and e["step"] < load["step"]
    ]
    site = taken[-1].get("site") if taken else load.get("site")
    yield Finding(
        title=f"the best weights are kept by reference: state_dict() at {where(site)} is not a copy, so loading it at "
        f"{where(load.get('site'))} restores the current weights, not the best ones",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence(
                "loaded tensors that are the live weights themselves",
                f"{load['shares_live_storage']} of {load['tensors']}",
                "0",
                "events.jsonl",
            ),
        ),
        location=Location.of(site),
        onset_step=int(taken[0]["step"]) if taken else int(load["step"]),
        fix=Fix(
            "Keep a copy: best = copy.deepcopy(model.state_dict()), or {k: v.clone() for k, v in model.state_dict().items()}."
        ),
    )
