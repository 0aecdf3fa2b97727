"""The optimizer is built again and again for the same parameters."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, rule
from cognate.rules.training import where


def _events(count: int) -> list[dict]:
    site = {"file": "t.py", "line": 12, "function": "train"}
    return [
        {"kind": "optimizer", "step": 20 * i, "object": f"optimizer#{i}", "holds": "parameter#0", "site": site}
        for i in range(count)
    ]


@rule(
    code="OPT110",
    name="opt-reinit-in-loop",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.optimizer"},
    explains={"loss-not-decreasing", "loss-oscillating"},
    sources={"least": "our calibration: two constructions are a planned second phase, three at one line are a loop"},
    fires=Example(events=_events(5)),
    quiet=Example(events=_events(1)),
)
def opt_reinit_in_loop(case: Case, *, least: int = 3) -> Iterator[Said]:
    """The optimizer is constructed inside the training loop: its momentum and Adam moments start from zero each time.

    The bias-corrected first steps of a fresh Adam are large and blind, and momentum never builds up. Deliberate warm restarts
    reset the rate, not the state.
    """
    groups: dict[tuple, list[dict]] = {}
    for event in case.events("optimizer"):
        site = event.get("site") or {}
        groups.setdefault((site.get("file"), site.get("line"), event.get("holds")), []).append(event)
    for (_, line, holds), events in sorted(groups.items(), key=str):
        steps = sorted({e["step"] for e in events})
        if len(events) >= least and len(steps) >= least and line and holds:
            yield Finding(
                title=f"the optimizer is constructed {len(events)} times at {where(events[0]['site'])} for the same parameters: "
                "its state is reset inside the loop",
                proof=Proof.MEASUREMENT,
                evidence=(Evidence("steps at which it was built anew", steps[:12], "[0]", "events.jsonl"),),
                location=Location.of(events[0]["site"]),
                onset_step=steps[1],
                fix=Fix("Build the optimizer once, before the loop."),
            )
            return
    yield Clear("each optimizer was built once")
