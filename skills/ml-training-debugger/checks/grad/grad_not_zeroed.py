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
    steps = [call for w in windows(case) for call in w.named("step") if not call.get("closure")]
    later = [call for call in steps if call["step"] > 0]
    if len(later) < least:
        yield Skip(f"only {len(later)} optimizer steps were looked at closely", "run at least a few steps")
        return
    carried = [call for call in later if call.get("carried")]
    if share(bool(call.get("carried")) for call in later) < 0.8 or len(carried) < least:
        yield Clear(f"gradients were cleared before {len(later) - len(carried)} of {len(later)} steps looked at")
        return
    backward = [call for w in windows(case) for call in w.named("backward")]
    site = commonest_site(backward) or commonest_site(carried)
    cleared = case.calls.get("zero_grad", 0)
    never = "is never called" if not cleared else f"is called only {cleared} times in {case.steps} steps"
    yield Finding(
        title=f"zero_grad() {never}: gradients accumulate over all iterations instead of being cleared before each backward",
        proof=Proof.MEASUREMENT,
        evidence=(
            Evidence("steps whose gradients still held those of the step before", f"{len(carried)} of {len(later)}", "0"),
            Evidence("calls of zero_grad", cleared, f"about {case.steps}", "events.jsonl"),
        ),
        location=Location.of(site),
        onset_step=int(carried[0]["step"]),
        fix=Fix(f"Call optimizer.zero_grad() before loss.backward() in every iteration ({where(site)})."),
    )
