"""Backward runs inside the autocast region."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import commonest_site, where


def _events(inside: bool) -> list[dict]:
    call = {"kind": "call", "name": "backward", "site": {"file": "t.py", "line": 30, "function": "train"}}
    return [call | {"step": s, "n": s} | ({"autocast": True} if inside else {}) for s in range(8)]


@rule(
    code="NUM126",
    name="num-autocast-scope",
    severity=Severity.INFO,
    kind=Kind.PRACTICE,
    needs={"events.call"},
    sources={"share": "our calibration: most of the backward calls that were looked at, so that one in a helper is none"},
    fires=Example(events=_events(True)),
    quiet=Example(events=_events(False)),
)
def num_autocast_scope(case: Case, *, share: float = 0.8) -> Iterator[Said]:
    """backward() is called inside the autocast region, where only the forward and the loss belong.

    Backward operations run in the types of their forward ones by themselves; what autocast adds inside backward (custom
    functions, recomputed checkpoints) may run in other types than the forward did. torch advises against it. End the region after
    the loss.
    """
    calls = case.events("call", name="backward")
    inside = [call for call in calls if call.get("autocast")]
    if not calls or len(inside) < share * len(calls):
        yield Clear(f"{len(calls)} backward calls, {len(inside)} of them inside autocast")
        return
    site = commonest_site(inside)
    yield Finding(
        title=f"backward at {where(site)} is called inside the autocast region: {len(inside)} of {len(calls)} calls",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("backward calls inside autocast", f"{len(inside)} of {len(calls)}", "0", "events.jsonl"),),
        location=Location.of(site),
        onset_step=int(inside[0]["step"]),
        fix=Fix("Move backward() out of the `with torch.autocast(...)` block, after the loss."),
    )
