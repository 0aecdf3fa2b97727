"""Gradients are cleared between backward and step."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import Window, commonest_site, where, windows


def _events(order: list[str], grads: str) -> list[dict]:
    rows = []
    for step in range(6):
        for i, name in enumerate(order):
            row = {"kind": "call", "step": step, "n": 10 * step + i, "name": name, "site": {"file": "t.py", "line": 5 + i}}
            rows.append(row | ({"grads": grads} if name == "step" else {}))
    return rows


def _cleared_late(window: Window) -> dict | None:
    names = window.names()
    if "backward" not in names:
        return None
    between = window.calls[len(names) - 1 - names[::-1].index("backward") + 1 :]
    step = next(call for call in window.calls if call["name"] == "step")
    if step.get("grads") == "present" or window.deferred:
        return None
    return next((call for call in between if call["name"] == "zero_grad" and call["n"] < step["n"]), None)


@rule(
    code="GRAD102",
    name="grad-zeroed-before-step",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={"loss-not-decreasing", "grad-none-or-zero-param", "opt-lr-too-low", "data-input-label-misaligned"},
    core=True,
    sources={"least": "our calibration: three steps in a row separate a habit from one deliberate reset"},
    fires=Example(events=_events(["backward", "zero_grad", "step"], "none")),
    quiet=Example(events=_events(["zero_grad", "backward", "step"], "present")),
)
def grad_zeroed_before_step(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Gradients are cleared after backward and before the optimizer step, so every step is empty.

    zero_grad() between loss.backward() and optimizer.step() throws away what backward computed. The optimizer finds no gradient
    and changes nothing (or, with momentum or weight decay, only that), while the loop looks complete.
    """
    closed = [w for w in windows(case) if "backward" in w.names()]
    if len(closed) < least:
        yield Skip("too few optimizer steps were looked at closely", "run at least a few steps")
        return
    late = [call for call in map(_cleared_late, closed) if call]
    if len(late) < max(least, 0.8 * len(closed)):
        yield Clear(f"gradients reached the optimizer in {len(closed) - len(late)} of {len(closed)} steps looked at")
        return
    site = commonest_site(late)
    yield Finding(
        title=f"zero_grad() at {where(site)} runs after backward and before step: the gradients are wiped before the step "
        f"uses them",
        proof=Proof.MEASUREMENT,
        evidence=(Evidence("steps that found their gradients cleared", f"{len(late)} of {len(closed)}", "0", "events.jsonl"),),
        location=Location.of(site),
        onset_step=int(late[0]["step"]),
        fix=Fix("Move zero_grad() before loss.backward() (or after optimizer.step())."),
    )
