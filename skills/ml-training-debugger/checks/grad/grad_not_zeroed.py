"""Gradients are never cleared between optimizer steps."""

from collections.abc import Iterator

from cognate.rules import Case, Clear, Evidence, Example, Finding, Fix, Kind, Location, Proof, Said, Severity, Skip, rule
from cognate.rules.training import commonest_site, share, where, windows


def _step(step: int, carried: bool) -> list[dict]:
    site = {"file": "train.py", "line": 20, "function": "<module>"}
    return [
        {"kind": "call", "step": step, "n": 2 * step, "name": "backward", "site": site},
        {"kind": "call", "step": step, "n": 2 * step + 1, "name": "step", "carried": carried, "grads": "present", "site": site},
    ]


@rule(
    code="GRAD101",
    name="grad-not-zeroed",
    severity=Severity.ERROR,
    kind=Kind.CAUSE,
    needs={"events.call"},
    explains={
        "loss-diverging",
        "loss-nonfinite",
        "loss-not-decreasing",
        "grad-exploding",
        "opt-lr-too-high",
        "eval-overfit",
        "model-dead-relu",
    },
    core=True,
    sources={"least": "our calibration: three steps in a row separate a habit from one deliberate accumulation"},
    fires=Example(events=[call for step in range(8) for call in _step(step, step > 0)]),
    quiet=Example(events=[call for step in range(8) for call in _step(step, False)]),
)
def grad_not_zeroed(case: Case, *, least: int = 3) -> Iterator[Said]:
    """Gradients are never cleared: zero_grad is missing, so every step uses the sum of all gradients so far.

    Each backward adds to what is left in `.grad`. Without zero_grad() in the loop the gradient grows from step to step, the
    direction is that of old batches, and momentum or a large rate then makes the loss jump by orders of magnitude.
    """
    steps = [call for w in windows(case) if not w.deferred for call in w.named("step")]
    # Judged by optimizer: of two, one may be cleared and the other not.
    owners = {call.get("object"): [c for c in steps if c.get("object") == call.get("object")][1:] for call in steps}
    owners = {owner: later for owner, later in owners.items() if len(later) >= least}
    if not owners:
        yield Skip("too few optimizer steps were looked at closely", "run at least a few steps")
        return
    owner = max(owners, key=lambda name: share(bool(c.get("carried")) for c in owners[name]))
    later = owners[owner]
    carried = [call for call in later if call.get("carried")]
    if share(bool(call.get("carried")) for call in later) < 0.8 or len(carried) < least:
        yield Clear(f"gradients were cleared before {len(later) - len(carried)} of {len(later)} steps looked at")
        return
    backward = [call for w in windows(case) for call in w.named("backward")]
    site = commonest_site(backward) or commonest_site(carried)
    cleared = sum(c["name"] == "zero_grad" and c.get("object") == owner for c in case.events("call"))
    whose = "" if len(owners) < 2 else f" for the optimizer of {where(_built(case, owner))}"
    never = "is never called" if not cleared else "is called too rarely"
    yield Finding(
        title=f"zero_grad() {never}{whose}: gradients accumulate over all iterations instead of being cleared before each "
        f"backward",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps whose gradients still held those of the step before", f"{len(carried)} of {len(later)}", "0"),
            Evidence("calls of zero_grad in the windows looked at", cleared, f"about {len(later)}", "events.jsonl"),
        ),
        location=Location.of(site),
        onset_step=int(carried[0]["step"]),
        fix=Fix(f"Call optimizer.zero_grad() before loss.backward() in every iteration ({where(site)})."),
    )


def _built(case: Case, owner: str | None) -> dict | None:
    return next((e.get("site") for e in case.events("optimizer") if e.get("object") == owner), None)
