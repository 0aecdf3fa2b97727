"""A checkpoint was loaded whose names do not fit the model."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import where


def _events(unexpected: int) -> list[dict]:
    base = {
        "kind": "checkpoint",
        "name": "load_state_dict",
        "object": "model#0 Net",
        "step": 0,
        "site": {"file": "t.py", "line": 30},
    }
    return [base | {"tensors": 8, "unexpected": unexpected, "missing": unexpected, "shares_live_storage": 0}]


@rule(
    code="REPRO102",
    name="repro-state-dict-mismatch",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.checkpoint"},
    explains={"repro-pretrained-not-loaded", "repro-resume-loss-jump", "loss-not-decreasing"},
    sources={"share": "our calibration: a new head leaves two or so keys over; half of them is a prefix that does not fit"},
    fires=Example(events=_events(8)),
    quiet=Example(events=_events(2)),
)
def repro_state_dict_mismatch(case: Case, *, share: float = 0.5) -> Iterator[Said]:
    """load_state_dict(strict=False) swallowed a mismatch: the checkpoint's keys do not fit the model, so weights were not loaded.

    A prefix such as `module.` or `_orig_mod.`, or a renamed attribute, makes every key unexpected and every parameter missing;
    with strict=False nothing is said and the model stays at its random initialisation.
    """
    loads = [e for e in case.events("checkpoint", name="load_state_dict") if e.get("tensors")]
    for load in loads:
        if load.get("unexpected", 0) >= share * load["tensors"] and load.get("missing", 0) > 0:
            yield Finding(
                title=f"load_state_dict at {where(load.get('site'))} loaded next to nothing: {load['unexpected']} of "
                f"{load['tensors']} keys do not "
                f"fit the model and {load['missing']} of its own are missing",
                proof=Proof.MEASUREMENT,
                evidence=(
                    Evidence(
                        "unexpected keys of the checkpoint", f"{load['unexpected']} of {load['tensors']}", "0", "events.jsonl"
                    ),
                    Evidence("missing keys of the model", load["missing"], "0"),
                ),
                location=Location.of(load.get("site")),
                onset_step=int(load.get("step", 0)),
                fix=Fix("Rename the keys (drop the `module.` or `_orig_mod.` prefix) and load with strict=True."),
            )
            return
    yield Clear(f"{len(loads)} loads of weights, all of whose keys fitted")
